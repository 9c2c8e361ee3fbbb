"""`ActuatorNode`: the node of a device that moves.

It is made safe when it is found, when its commands stop, at any fault and at every kind of end. It
is armed by the first fresh command and by nothing else; commands from before that are not replayed.
A command that is refused counts as never sent: it neither moves the device nor keeps it moving.
While the emergency stop is engaged every command is; after it, one sent before its release.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable
from typing import Any

from horus.errors import TopicError
from horus.hal.config import ActuatorConfig, DriverConfig
from horus.hal.driver import Actuator, Driver
from horus.hal.faults import CommandRefused, DeviceFault
from horus.hal.link import Clock
from horus.hardware import estop, lastwords, topics
from horus.hardware.alive import SignOfLife
from horus.hardware.buses import BusHandle
from horus.hardware.config import DeviceEntry
from horus.hardware.lastwords import BusAddress
from horus.hardware.node import DeviceState, DriverNode
from horus.hardware.slew import Slew, ramp_of
from horus.node.pubsub import Sub

#: Longest wait (s) at the end of a run for a device to come to rest.
REST_WAIT = 1.5
#: What was told to stop is looked at so often (s) until it rests, and told again if it does not.
REST_EVERY = 0.5
#: What was lost while it may have been moving is told to stop for so long (s): it may still hear.
LOST_FOR = 60.0
#: However low its rate, the node looks this often within a command_timeout whether it has passed.
TICKS_PER_TIMEOUT = 10
#: Commands that may come between two ticks without one being lost.
DEPTH = 64
#: A device that has been ready this long (s) and never had a command says what it waits for.
WAITED = 2.0
#: Most reasons for which a refusal is logged.
MOST_REASONS = 20


class _StoppedError(CommandRefused):
    """A command that came while the emergency stop was engaged, or from before its release."""


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
        least = max(TICKS_PER_TIMEOUT / config.command_timeout, estop.LOOKS)
        subs = [sub, estop.SUB]
        super().__init__(device, bus, mock=mock, clock=clock, subs=subs, least_rate=least)
        self._timeout_ns = int(config.command_timeout * 1e9)
        self._address = address
        self._words = lastwords.words_of(device, address.branches if address else ())
        self._life = SignOfLife(device.name)
        self._stop = estop.StopWatch()
        self._slew = Slew(ramp_of(config), 1.0 / self.rate)
        self._state: Any = None  # the newest message on how the device moves
        self._sleep = sleep
        self._armed = False
        self._held = False  # armed, or not told to stop successfully since it was
        self._rest_ns = 0  # when to look whether it has come to rest; 0: it has, or is armed
        self._told = 0  # how often it was told to stop since then
        self._lost_ns = 0  # when it was lost while it may have been moving; 0: not
        self._repeat_ns = 0  # when a device that is lost is told again to stop
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
        now = self._clock()
        if self._held:
            self._life.give(now)
        self._stop.look(self._node_subscribers[estop.TOPIC], now)
        if self.state not in (DeviceState.READY, DeviceState.ACTIVE):
            self._discard()
        super()._work()

    def _adopt(self, config: DriverConfig, name: str) -> None:
        """Take an option that a person has changed."""
        super()._adopt(config, name)
        assert isinstance(config, ActuatorConfig)
        self._timeout_ns = int(config.command_timeout * 1e9)
        if name == "max_acceleration":  # the next command begins a ramp anew, from the speed it has
            self._slew = Slew(ramp_of(config), 1.0 / self.rate)

    def _use(self, now: int) -> None:
        driver = self._driver
        assert isinstance(driver, Actuator)
        if self._stop.news_for(self.text):
            self._obey(driver, now)
        command = self._newest(driver, now)
        if command is not None:
            if not self._armed:
                self._arm(driver, now)
            driver.write(self._slew.follow(command, now, lambda: self._speed(driver, command)))
        elif self._armed and now - self._command_ns > self._timeout_ns:
            self._make_safe(driver)
            text = f"no command for {self._timeout_ns / 1e9:g} s: told to stop"
            self._enter(DeviceState.READY, text, now, warn=True)
        elif self._armed:
            ramped = self._slew.go_on(now)
            if ramped is not None:
                driver.write(ramped)
        elif self._rest_ns and now >= self._rest_ns:
            self._see_to_rest(driver)
        elif not self._heard and now - self._since_ns > WAITED * 1e9:
            self._heard = True  # said once
            self.log_info(f"waiting for commands on {self._command}")
        super()._use(now)

    def _failed(self, fault: DeviceFault, now: int) -> None:
        working = self.state in (DeviceState.READY, DeviceState.ACTIVE)
        if working and (self._held or self._rest_ns):
            self._lost_ns = now
        elif self._lost_ns and self._driver is not None:
            with contextlib.suppress(DeviceFault):
                self._make_safe(self._driver)
        super()._failed(fault, now)

    def _find(self, now: int) -> None:
        """Look for the device; one that was lost while it moved may still hear a stop."""
        super()._find(now)
        driver = self._driver
        if self.state is not DeviceState.ABSENT:
            self._lost_ns = self._lost_ns if self.state is DeviceState.FAULT else 0
        elif self._lost_ns and driver is not None and self._generation == self.bus.generation:
            if now - self._lost_ns > LOST_FOR * 1e9:
                self._lost_ns = 0
            elif now >= self._repeat_ns:
                began = self._clock()
                with contextlib.suppress(DeviceFault):
                    self._make_safe(driver)
                self._repeat_ns = self._polite(began, REST_EVERY)

    def _obey(self, driver: Actuator[Any, Any], now: int) -> None:
        """Do what the emergency stop says, and say so."""
        stop = self._stop
        self._make_safe(driver)
        stop.obeyed()
        if stop.engaged is not None:
            self._enter(DeviceState.READY, f"{stop.engaged}: told to stop", now, warn=True)
        else:
            text = f"e-stop released: follows what is sent on {self._command} from now on"
            self._enter(DeviceState.READY, text, now)

    def _see_to_rest(self, driver: Actuator[Any, Any]) -> None:
        """Tell a device again to stop that does not come to rest: it may not have heard."""
        if driver.at_rest() != "":
            self._rest_ns = self._told = 0
            return
        told = self._told + 1
        self._make_safe(driver)
        self._told = told
        if told == round(REST_WAIT / REST_EVERY):
            self.log_warning(f"told to stop, but not at rest after {REST_WAIT:g} s: told again")

    def _arm(self, driver: Actuator[Any, Any], now: int) -> None:
        if self._address is not None:
            lastwords.record(self.name, self._address, self._words)
        self._rest_ns = 0
        self._armed = self._held = True  # before the device is: from here on it must be made safe
        self._life.give(now)
        driver.arm()
        driver.armed_ns = now
        self._enter(DeviceState.ACTIVE, f"armed, follows {self._command}", now)

    def _speed(self, driver: Actuator[Any, Any], command: Any) -> float:
        """Return the velocity (rad/s) from which a ramp begins: as measured, if one may command it.

        0.0 where nothing was measured lately.
        """
        measured = getattr(self._state, "velocity", None)
        fresh = self._clock() - self._sample_ns < self._timeout_ns
        if not fresh or not isinstance(measured, float) or not math.isfinite(measured):
            return 0.0
        test = copy.copy(command)
        test.velocity = measured
        try:
            driver.check(test)
        except CommandRefused:
            return 0.0
        return measured

    def _publish(self, topic: str, message: Any, stamp_ns: int) -> None:
        if topic == self._data:
            self._state = message
        super()._publish(topic, message, stamp_ns)

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
                self._check(driver, command, stamp_ns, now)
            except CommandRefused as refusal:
                self._refuse(refusal)
            except TopicError as error:
                self._heard = True
                self._refuse(CommandRefused(str(error)))
            else:
                newest, self._command_ns = command, min(stamp_ns, now)
        return newest

    def _check(self, driver: Actuator[Any, Any], command: Any, stamp_ns: int, now: int) -> None:
        """Raise `CommandRefused` for a command that must not be followed."""
        ahead = stamp_ns - now
        if ahead > self._timeout_ns:
            text = f"its stamp is {ahead / 1e9:.2f} s in the future: the clock of its sender is"
            raise CommandRefused(f"{text} wrong")
        if self._stop.engaged is not None:
            raise _StoppedError(str(self._stop.engaged))
        if stamp_ns <= self._stop.released_ns:
            raise _StoppedError("it was sent before the e-stop was released")
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
        if isinstance(refusal, _StoppedError):
            return  # the stop itself has been said
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
        self._slew.reset()
        driver.armed_ns = 0
        driver.safe()
        self._held = False
        self._told = 0
        self._rest_ns = self._clock() + int(REST_EVERY * 1e9)
        self._life.rest()
        lastwords.withdraw(self.name)

    def spoken_for(self) -> None:
        """Take note that somebody else has said its last words."""
        self._armed = False
        self._life.rest()
        lastwords.withdraw(self.name)

    def _invoke(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Call a command of the driver, but never of a device that may be moving."""
        if self._armed:
            raise CommandRefused(f"it follows {self._command}: first stop sending there")
        if self._stop.engaged is not None:
            raise CommandRefused(str(self._stop.engaged))
        return super()._invoke(function, arguments)

    def _finish(self) -> None:
        """Say how the device was left."""
        super()._finish()
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
            self.log_warning(f"told to stop; not seen at rest: {fault}")
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
