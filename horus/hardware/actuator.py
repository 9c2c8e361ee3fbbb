"""`ActuatorNode`: the node of a device that moves.

It is made safe when it is found, when its commands stop, at any fault and at every kind of end. It
is armed by the first fresh command and by nothing else; commands from before that are not replayed.
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
        sub = Sub(self._command, topics.command_type(driver), depth=64)
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
        self._command_ns = 0
        self._refusals: set[str] = set()

    def safe(self) -> None:
        """Stop the device, for good: called at every kind of end."""
        self._ended = True
        if self.found and self._driver is not None:
            self._make_safe(self._driver)

    def _work(self) -> None:
        if self._ended:
            return
        if self.state not in (DeviceState.READY, DeviceState.ACTIVE):
            self._newest(self._clock())  # not to be replayed
        super()._work()

    def _use(self, now: int) -> None:
        driver = self._driver
        assert isinstance(driver, Actuator)
        command = self._newest(now)
        if command is not None and self._allowed(driver, command):
            self._command_ns = self._stamp_ns
            if not self._armed:
                self._arm(driver, now)
            driver.write(command)
        elif self._armed and now - self._command_ns > self._timeout_ns:
            self._make_safe(driver)
            text = f"no command for {self._timeout_ns / 1e9:g} s: told to stop"
            self._enter(DeviceState.READY, text, now, warn=True)
        super()._use(now)

    def _arm(self, driver: Actuator[Any, Any], now: int) -> None:
        if self._address is not None:
            lastwords.record(self.name, self._address, self._words)
        self._armed = True  # before the device is: from here on it must be made safe
        driver.arm()
        driver.armed_ns = now
        self._enter(DeviceState.ACTIVE, f"armed, follows {self._command}", now)

    def _newest(self, now: int) -> Any:
        """Return the newest command if it is fresh, else None."""
        subscriber = self._node_subscribers[self._command]
        try:
            command = subscriber.latest()
        except TopicError as error:
            self._refuse(str(error))
            return None
        if command is None:
            return None
        self._stamp_ns = min(subscriber.last_stamp, now)
        if now - self._stamp_ns > self._timeout_ns:
            self.late += 1
            return None
        return command

    def _allowed(self, driver: Actuator[Any, Any], command: Any) -> bool:
        name = not_finite(command)
        if name:
            self._refuse(f"{name} is {getattr(command, name)!r}")
            return False
        try:
            driver.check(command)
        except CommandRefused as refusal:
            self._refuse(str(refusal))
            return False
        return True

    def _refuse(self, text: str) -> None:
        self.refused += 1
        if text not in self._refusals and len(self._refusals) < 20:
            self._refusals.add(text)
            self.log_error(f"command refused: {text} (said once; counted in {self._status})")

    def _counters(self) -> list[tuple[str, int]]:
        more = [("commands refused", self.refused), ("commands too late", self.late)]
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
