"""What plugins are told while a robot runs: never in a node's tick, never waited for.

Changes of devices' states are put into a queue that a thread empties; nothing is started unless a
plugin wants to know.
"""

from __future__ import annotations

import queue
import threading

from horus import logs, plugins

#: Changes that may wait for a plugin that is slow; further ones are left out.
WAITING = 1000
#: Longest wait (s) for plugins at the end of a process, and at the end of a run.
LAST_WAIT, STOP_WAIT = 1.0, 3.0

_Change = tuple[str, str, str]
_queue: queue.Queue[_Change | None] | None = None
_thread: threading.Thread | None = None


def begin() -> None:
    """Begin to pass changes on, in this process, if any plugin has ``horus_device_state``."""
    global _queue, _thread
    if _queue is not None or not plugins.implemented("horus_device_state"):
        return
    _queue = queue.Queue(WAITING)
    _thread = threading.Thread(target=_pass_on, args=(_queue,), name="notices", daemon=True)
    _thread.start()


def device_state(device: str, state: str, text: str) -> None:
    """Tell plugins of a device's new state; this returns at once, whatever they do."""
    if _queue is not None:
        try:
            _queue.put_nowait((device, state, text))
        except queue.Full:
            pass


def end() -> None:
    """Pass on what waits, for a limited time; nothing is passed on afterwards."""
    global _queue, _thread
    left, thread = _queue, _thread
    _queue = _thread = None
    if left is not None and thread is not None:
        try:
            left.put_nowait(None)
        except queue.Full:
            return
        thread.join(LAST_WAIT)


def run_ended(status: int) -> list[str]:
    """Tell plugins that a run has ended; return what went wrong with that, in words."""
    if not plugins.implemented("horus_stop"):
        return []
    thread = threading.Thread(
        target=plugins.call, args=("horus_stop",), kwargs={"status": status}, daemon=True
    )
    thread.start()
    thread.join(STOP_WAIT)
    if thread.is_alive():
        return [f"a plugin's horus_stop() has not returned within {STOP_WAIT:g} s: left alone"]
    return [f"{i}: {i.problem}" for i in plugins.plugins() if "horus_stop()" in i.problem]


def _pass_on(changes: queue.Queue[_Change | None]) -> None:
    said: set[str] = set()
    while (change := changes.get()) is not None:
        device, state, text = change
        plugins.call("horus_device_state", device=device, state=state, text=text)
        for info in plugins.plugins():
            if "horus_device_state()" in info.problem and info.name not in said:
                said.add(info.name)
                logs.logger("plugins").warning("%s: %s (said once)", info, info.problem)
