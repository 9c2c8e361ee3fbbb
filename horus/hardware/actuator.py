"""`ActuatorNode`: the node of a device that moves.

It is made safe when it is found, when its commands stop, at any fault and at every kind of end. It
is armed by the first fresh command and by nothing else; commands from before that are not replayed.
A command that is refused counts as never sent: it neither moves the device nor keeps it moving.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from horus.errors import TopicError
from horus.hal.config import ActuatorConfig
from horus.hal.driver import Actuator, Driver
from horus.hal.faults import CommandRefused, DeviceFault
from horus.hal.link import Clock
from horus.hardware import lastwords, topics
from horus.hardware.buses import BusHandle
from horus.hardware.config import DeviceEntry
from horus.hardware.lastwords import BusAddress
from horus.hardware.node import DeviceState, DriverNode
from horus.node.pubsub import Sub

#: Longest wait (s) at the end of a run for a device to come to rest.
REST_WAIT = 1.5
#: However low its rate, the node looks this often within a command_timeout whether it has passed.
TICKS_PER_TIMEOUT = 10
#: Commands that may come between two ticks without one being lost.
DEPTH = 64
#: A device that has been ready this long (s) and never had a command says what it waits for.
WAITED = 2.0
#: Most reasons for which a refusal is logged.
MOST_REASONS = 20


class ActuatorNode(DriverNode):
    """Runs the driver of a device that moves; ``address`` tells the supervisor where its bus is."""

    is_actuator = True

    def __init__(
        self,
        device: DeviceEntry,
        bus: BusHandle,
        *,
        mock: bool = False,
        clock: Clock = time.monotonic_ns,
        address: BusAddress | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        config, driver = device.config, device.driver
        assert isinstance(config, ActuatorConfig) and issubclass(driver, Actuator)
        self._command = topics.command_topic(device.name)
        sub = Sub(self._command, topics.command_type(driver), depth=DEPTH)
        least = TICKS_PER_TIMEOUT / config.command_timeout
        super().__init__(device, bus, mock=mock, clock=clock, subs=sub, least_rate=least)
        #: Commands that were never sent to the device, and those that came too late.
        self.refused = 0
        self.late = 0
        self._timeout_ns = int(config.command_timeout * 1e9)
        self._address = address
        self._words = lastwords.words_of(device)
        self._sleep = sleep
        self._armed = False
        self._ended = False
        self._command_ns = 0  # when the command that is followed was sent
        self._heard = False  # whether a command ever came, good or bad
        self._reasons: set[str] = set()
        self._refusal = ""  # the last one

    def safe(self) -> None:
        """Stop the device, for good: called at every kind of end."""
        self._ended = True
        if self.found and self._driver is not None:
            self._make_safe(self._driver)

    def _work(self) -> None:
        if self._ended:
            return
        if self.state not in (DeviceState.READY, DeviceState.ACTIVE):
            self._discard()
        super()._work()

    def _use(self, now: int) -> None:
        driver = self._driver
        assert isinstance(driver, Actuator)
        command = self._newest(driver, now)
        if command is not None:
            if not self._armed:
                self._arm(driver, now)
            driver.write(command)
        elif self._armed and now - self._command_ns > self._timeout_ns:
            self._make_safe(driver)
            text = f"no command for {self._timeout_ns / 1e9:g} s: told to stop"
            self._enter(DeviceState.READY, text, now, warn=True)
        elif not self._heard and now - self._since_ns > WAITED * 1e9:
            self._heard = True  # said once
            self.log_info(f"waiting for commands on {self._command}")
        super()._use(now)

    def _arm(self, driver: Actuator[Any, Any], now: int) -> None:
        if self._address is not None:
            lastwords.record(self.name, self._address, self._words)
        self._armed = True  # before the device is: from here on it must be made safe
        driver.arm()
        driver.armed_ns = now
        self._enter(DeviceState.ACTIVE, f"armed, follows {self._command}", now)

    def _newest(self, driver: Actuator[Any, Any], now: int) -> Any:
        """Return the newest of the commands that may be followed, or None; keep when it was sent.

        Each is judged by its own stamp, so that a sender whose clock is wrong cannot make those of
        another one look fresh.
        """
        subscriber = self._node_subscribers[self._command]
        newest = None
        for _ in range(DEPTH):
            try:
                found = subscriber.recv_stamped()
                if found is None:
                    break
                self._heard = True
                command, stamp_ns = found
                if now - stamp_ns > self._timeout_ns:
                    self.late += 1
                    continue
                self._check(driver, command, (stamp_ns - now) / 1e9)
            except CommandRefused as refusal:
                self._refuse(refusal)
            except TopicError as error:
                self._heard = True
                self._refuse(CommandRefused(str(error)))
            else:
                newest, self._command_ns = command, min(stamp_ns, now)
        return newest

    def _check(self, driver: Actuator[Any, Any], command: Any, ahead: float) -> None:
        """Raise `CommandRefused` for a command that must not be followed."""
        if ahead * 1e9 > self._timeout_ns:
            text = f"its stamp is {ahead:.2f} s in the future: the clock of its sender is wrong"
            raise CommandRefused(text)
        name = not_finite(command)
        if name:
            raise CommandRefused(f"{name} is {getattr(command, name)!r}")
        driver.check(command)

    def _discard(self) -> None:
        """Skip what was sent while the device was not ready: it is not to be replayed."""
        try:
            if self._node_subscribers[self._command].latest() is not None:
                self._heard = True
        except TopicError as error:
            self._heard = True
            self._refuse(CommandRefused(str(error)))

    def _refuse(self, refusal: CommandRefused) -> None:
        self.refused += 1
        self._refusal = str(refusal)
        if refusal.reason not in self._reasons and len(self._reasons) < MOST_REASONS:
            self._reasons.add(refusal.reason)
            self.log_error(f"command refused: {refusal} (said once; counted in {self._status})")

    def _counters(self) -> list[tuple[str, int]]:
        refused = f"commands refused, the last: {self._refusal}"
        more = [("commands too late", self.late), (refused, self.refused)]
        return super()._counters() + more

    def _make_safe(self, driver: Driver[Any, Any]) -> None:
        """Stop the device; while that fails its last words stay for the supervisor."""
        assert isinstance(driver, Actuator)
        self._armed = False
        driver.armed_ns = 0
        driver.safe()
        lastwords.withdraw(self.name)

    def _finish(self) -> None:
        """Say how the device was left."""
        driver = self._driver
        if not self.found or not isinstance(driver, Actuator):
            return
        if self.state not in (DeviceState.READY, DeviceState.ACTIVE):
            self.log_warning(f"told to stop, but it does not answer: {self.text}")
            return
        deadline = self._clock() + int(REST_WAIT * 1e9)
        try:
            while True:
                self.bus.poll()
                rest = driver.at_rest()
                if rest:
                    self.log_info(rest)
                    return
                if rest is None or self._clock() > deadline:
                    break
                self._sleep(0.01)
        except DeviceFault as fault:
            self.log_warning(f"told to stop, then lost: {fault}")
            return
        self.log_warning("told to stop; not seen at rest yet")


def not_finite(command: Any) -> str:
    """Return the name of the first field that holds NaN or inf, or ""."""
    for field in type(command).__horus_spec__.fields:
        if field.code not in ("f4", "f8"):
            continue
        value = getattr(command, field.name)
        numbers = (value,) if field.kind == "scalar" else value
        if not all(map(math.isfinite, numbers)):
            return str(field.name)
    return ""
