"""The virtual machine: the cached kernel on the host's files, orders and their output."""

from __future__ import annotations

import json
import os
import selectors
import shlex
import socket
import sys
import termios
import time
import tty
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from horus.testing.virtual import hardware
from horus.testing.virtual.emulator import Emulator
from horus.testing.virtual.errors import VirtualError
from horus.testing.virtual.fetch import Cache
from horus.testing.virtual.orders import Order, Write, packed
from horus.testing.virtual.qmp import Qmp

#: Longest time (s) until the machine takes orders; on an idle computer it needs six.
BOOT = 300.0
#: How much is kept of what the kernel says.
CONSOLE = 64 << 10
#: Variables that make sense on the host only; in the machine byte code may always be written, for
#: compiling takes long there and nothing of it stays.
NOT_PASSED = (
    "PYTHONDONTWRITEBYTECODE",
    "HORUS_SHM_DIR",
    "HORUS_SESSION_ID",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DISPLAY",
    "_",
)
#: Connections on which it says something by itself.
HEARD = ("console", "said", "orders", "out", "err", "control")


class Machine:
    """A virtual machine that runs commands on the host's files; ``with`` starts and ends it.

    Args:
        cache: where the emulator and the kernel are.
        shares: folders that commands may write into, and the host reads afterwards; all else that
            they write is gone when the machine ends.

    It must be started by a thread that lives as long: the kernel ends the machine with it.
    """

    def __init__(self, cache: Cache | None = None, shares: Sequence[Path] = ()) -> None:
        self.cache = cache or Cache()
        self.shares = [path.resolve() for path in shares]
        #: What the kernel has said at last.
        self.console = b""
        #: Seconds from the start until it took orders.
        self.boot_seconds = 0.0
        self._emulator = Emulator(self.cache, self.shares)
        self._selector = selectors.DefaultSelector()
        self._qmp: Qmp | None = None
        self._order: Order | None = None
        self._lines: dict[str, bytes] = {"orders": b"", "control": b""}
        self._ready = False

    def start(self) -> None:
        """Start it and wait until it takes orders; a `VirtualError` says why it does not."""
        text = self.cache.lacks()
        if text:
            raise VirtualError(text)
        began = time.monotonic()
        try:
            self._emulator.start()
            for name in HEARD:
                self._selector.register(self._end(name), selectors.EVENT_READ, name)
            self._greet()
            self._wait(lambda: self._ready, began + BOOT, "the virtual machine does not start")
            self._prepare()
        except BaseException:
            self.close()
            raise
        self.boot_seconds = time.monotonic() - began

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        out: Write | None = None,
        err: Write | None = None,
        timeout: float | None = None,
    ) -> int:
        """Run a command on the host's files; return its exit status.

        ``environment`` is by default that of this process. ``out`` and ``err`` get the output; by
        default it goes to standard output and standard error.
        """
        script = self._script(command, folder, environment)
        return self._do("host", script, out or _to(1), err or _to(2), timeout)

    def _script(
        self, command: Sequence[str], folder: Path | None, environment: Mapping[str, str] | None
    ) -> str:
        given = os.environ if environment is None else environment
        words = [
            f"export {name}={shlex.quote(value)}"
            for name, value in given.items()
            if name.isidentifier() and name not in NOT_PASSED
        ]
        words += [f"cd {shlex.quote(str(folder or Path.cwd()))}", f"exec {shlex.join(command)}"]
        return "\n".join(words)

    def shell(self, command: Sequence[str], rows: int, columns: int) -> None:
        """Give this process's terminal to a command in the machine until it ends."""
        script = self._script(command, None, None)
        place = "/new/run/horus/shell"
        text = (
            f"mkdir -p /new/run/horus; echo {packed(script)} | base64 -d > {place}\n"
            f"[ {rows} -gt 0 ] && stty rows {rows} cols {columns} < /dev/hvc0\n"
            "setsid -c chroot /new /bin/sh /run/horus/shell < /dev/hvc0 > /dev/hvc0 2>&1"
        )
        terminal = self._end("terminal")
        before = termios.tcgetattr(0)
        tty.setraw(0)
        self._selector.register(0, selectors.EVENT_READ, "keys")
        self._selector.register(terminal, selectors.EVENT_READ, "terminal")
        try:
            self._do("machine", text, _to(1), _to(2))
        finally:
            self._selector.unregister(0)
            self._selector.unregister(terminal)
            termios.tcsetattr(0, termios.TCSADRAIN, before)

    def modprobe(self, *words: str) -> None:
        """Load a module of the kernel with options; a `VirtualError` says why it cannot be."""
        said = bytearray()
        if self._do("machine", f"modprobe {shlex.join(words)}", said.extend, said.extend):
            raise VirtualError(f"modprobe {shlex.join(words)}: {said.decode().strip()}")

    def unplug(self, name: str) -> None:
        """Pull one of `hardware.PLUGGABLE` out; see `guest.unplug`."""
        assert self._qmp is not None
        self._qmp.unplug(_pluggable(name))

    def plug(self, name: str) -> None:
        """Put it in again."""
        assert self._qmp is not None
        self._qmp.plug(hardware.properties(_pluggable(name)))

    def kill(self) -> None:
        """End the machine from another thread; the one that uses it gets a `VirtualError`."""
        self._emulator.kill()

    def close(self) -> None:
        """End the machine; nothing of it is left."""
        self._emulator.close()
        self._selector.close()

    def __enter__(self) -> Machine:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _greet(self) -> None:
        self._qmp = Qmp(self._end("qmp"))
        try:
            self._qmp.begin()
        except OSError as error:
            for key, _ in self._selector.select(1.0):
                self._take(key.data)
            raise VirtualError(f"QEMU does not start ({error})", self._last_said()) from None

    def _prepare(self) -> None:
        """Lay the machine's own files over the host's, and load what drives its hardware."""
        layers = "lowerdir=/bytecode:/host,upperdir=/over/upper,workdir=/over/work"
        script = [f"mount -t overlay -o {layers} over /new"]
        script += [f"mount --rbind /{name} /new/{name}" for name in ("dev", "proc", "sys")]
        script += [
            "mkdir -p /new/dev/shm /new/dev/pts",
            "mount -t tmpfs shm /new/dev/shm",
            "mount -t devpts pts /new/dev/pts",
            "mount -t tmpfs run /new/run",
        ]
        for number, path in enumerate(self.shares):
            place = shlex.quote(f"/new{path}")
            script += [
                f"mkdir -p {place}",
                f"mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share{number} {place}",
            ]
        script = [f"{line} || exit 1" for line in script]
        script.append(f"modprobe -a {' '.join(hardware.DRIVERS)}")
        raising = [sys.executable, "-S", "-E", str(Path(__file__).with_name("canup.py"))]
        script.append(f"chroot /new {shlex.join(raising)}")
        said = bytearray()
        if self._do("machine", "\n".join(script), said.extend, said.extend):
            raise VirtualError(f"the virtual machine cannot be set up: {said.decode().strip()}")

    def _do(
        self, where: str, script: str, out: Write, err: Write, timeout: float | None = None
    ) -> int:
        """Give an order and wait until it is done and all of its output has come."""
        self._order = order = Order(where, script, out, err)
        self._end("orders").sendall(order.line)
        deadline = None if timeout is None else time.monotonic() + timeout
        self._wait(lambda: order.over, deadline, f"the command has not ended after {timeout} s")
        self._order = None
        assert order.status is not None
        return order.status

    def _wait(self, condition: Callable[[], object], deadline: float | None, late: str) -> None:
        while not condition():
            if deadline is not None and time.monotonic() > deadline:
                raise VirtualError(late, self._last_said())
            for key, _ in self._selector.select(1.0):
                self._take(key.data)
            if self._emulator.ended():
                for key, _ in self._selector.select(0):
                    self._take(key.data)
                if not condition():
                    raise VirtualError("the virtual machine has ended", self._last_said())

    def _take(self, name: str) -> None:
        """Take what has come from the machine, or from the keys of its terminal."""
        if name == "keys":
            self._end("terminal").sendall(os.read(0, 4096))
            return
        end = self._end(name)
        data = end.recv(65536)
        if not data:
            self._selector.unregister(end)
        elif name in ("console", "said"):
            self.console = (self.console + data)[-CONSOLE:]
        elif name == "terminal":
            _to(1)(data)
        elif name in self._lines:
            *lines, self._lines[name] = (self._lines[name] + data).split(b"\n")
            for line in lines:
                (self._answered if name == "orders" else self._asked)(line.decode())
        elif self._order is not None:
            self._order.outputs[name].take(data)

    def _answered(self, line: str) -> None:
        if line == "ready":
            self._ready = True
        elif self._order is not None and line.startswith(self._order.token):
            self._order.status = int(line.rpartition(" ")[2])

    def _asked(self, line: str) -> None:
        """Do what a program in the machine asks for: hardware to be plugged or unplugged."""
        try:
            wanted = json.loads(line)
            what = {"plug": self.plug, "unplug": self.unplug}[wanted["do"]]
            what(wanted["name"])
            answer: dict[str, Any] = {"done": line}
        except (ValueError, KeyError, TypeError, VirtualError) as error:
            answer = {"error": str(error)}
        self._end("control").sendall(json.dumps(answer).encode() + b"\n")

    def _end(self, name: str) -> socket.socket:
        """Return this process's end of a pair."""
        return self._emulator.ends[name]

    def _last_said(self) -> str:
        text = self.console.decode(errors="replace").strip()
        return (
            "\n".join(["it said at last", *text.splitlines()[-12:]]) if text else "it said nothing"
        )


def _to(fd: int) -> Write:
    def write(data: bytes) -> None:
        while data:
            data = data[os.write(fd, data) :]

    return write


def _pluggable(name: str) -> str:
    if name not in hardware.PLUGGABLE:
        known = ", ".join(hardware.PLUGGABLE)
        raise VirtualError(f"the virtual machine has no {name} to be plugged: it has {known}")
    return name
