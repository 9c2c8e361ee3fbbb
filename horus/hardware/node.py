"""`DriverNode`: a driver as a node, alive through absence, faults and power cuts.

    ABSENT ──answers──▶ READY ──first sample / first command──▶ ACTIVE
       ▲                   └───────────any fault───────────────────┤
       └──────────── back-off ◀──────── FAULT ◀────────────────────┘

What moves has an `ActuatorNode` instead. Topics: see `horus.hardware.topics`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

from horus import notices
from horus.bus import wall_time
from horus.errors import ConfigError, TopicError
from horus.hal.config import DriverConfig
from horus.hal.driver import Driver, marked
from horus.hal.faults import TRANSIENT, DeviceFault, FaultKind
from horus.hal.link import Clock
from horus.hardware import calibration, topics
from horus.hardware.buses import BusHandle
from horus.hardware.config import DeviceEntry
from horus.hardware.liveoptions import LiveOptions
from horus.hardware.mount import Mount
from horus.msgs import DeviceStatus, DiagnosticLevel
from horus.node import Node
from horus.node.calls import Calls
from horus.node.pubsub import Pub, Subs

#: Seconds between attempts to reach a device: the first, doubled up to the last.
RETRY_FIRST, RETRY_LAST = 0.1, 2.0
#: A device that does not answer may have one part in this many of its bus's time.
BUS_SHARE = 20
#: A device that worked this long starts at the first again.
SETTLED = 5.0
#: Faults in a row, of kinds that pass by themselves, that a sensor may have.
TOLERATED = 3
STATUS_EVERY = 1.0
#: A device may keep silent for this long (s) before it is called absent in the log.
PATIENCE = 2.0
#: Kinds of fault after which the bus itself is opened anew.
BUS_LOST = frozenset({FaultKind.ABSENT, FaultKind.BUS_OFF})


class DeviceState(str, Enum):
    """Where a device is in its life; none of these is final."""

    ABSENT = "absent"
    READY = "ready"
    ACTIVE = "active"
    FAULT = "fault"


_LEVELS = {
    DeviceState.ABSENT: DiagnosticLevel.STALE,
    DeviceState.READY: DiagnosticLevel.OK,
    DeviceState.ACTIVE: DiagnosticLevel.OK,
    DeviceState.FAULT: DiagnosticLevel.ERROR,
}


class DriverNode(Node):
    """Runs the driver of one device on its bus."""

    def __init__(
        self,
        device: DeviceEntry,
        bus: BusHandle,
        *,
        mock: bool = False,
        clock: Clock = time.monotonic_ns,
        subs: Subs = None,
        least_rate: float = 0.0,
    ) -> None:
        self.device = device
        self.bus = bus
        self.mock = mock
        self._read_rate = max(device.config.rate, least_rate)
        self.state = DeviceState.ABSENT
        #: What is the matter, for people.
        self.text = "not found yet"
        #: Samples sent, faults met.
        self.samples = 0
        self.faults = 0
        #: Commands that were never sent to the device, and those that came too late.
        self.refused = 0
        self.late = 0
        #: Whether it has answered once since the start, and what it says that it is.
        self.found = False
        self.identity = ""
        self._clock = clock
        self._driver: Driver[Any, Any] | None = None
        self._generation = 0  # of the bus that the driver's link belongs to
        self._steps: Iterator[float] | None = None
        self._next_ns = 0  # nothing is tried before this moment
        self._retry = RETRY_FIRST
        self._since_ns = clock()  # when the present state began
        self._sample_ns = 0
        self._in_a_row = 0
        # A slow device is not stale for taking its time.
        self._stale_ns = int(max(device.config.stale_after, 3 / device.config.rate) * 1e9)
        self._excuse = ""  # why there was no sample lately
        self._said = ""
        self._mute = False
        self._status_ns = 0
        self._counted = (self._since_ns, 0, 0.0)  # when, samples by then, rate before
        self._earlier = (0, 0)  # errors and bytes of links that are no more
        self._commands = marked(device.driver, "command")
        self._calls: Calls | None = None
        self._live: LiveOptions | None = None
        # Between two samples that are sent; 0: as they come.
        self._every_ns = self._between(device.config.rate)
        self._next_sample_ns = 0
        self._kept: object = None  # the calibration as it is in its file
        self._mount = Mount.parse(device.config.mount) if device.config.mount else None
        name, driver = device.name, device.driver
        self._data = topics.data_topic(name, driver)
        self._status = topics.status_topic(name)
        outputs = topics.output_types(driver)
        self._outputs = [(method, topics.output_topic(name, method)) for method in outputs]
        pubs = [Pub(topics.output_topic(name, method), kind) for method, kind in outputs.items()]
        super().__init__(
            name,
            pubs=[
                Pub(self._data, topics.data_type(driver)),
                Pub(self._status, DeviceStatus),
                *pubs,
            ],
            subs=subs,
            tick=type(self)._work,
            init=type(self)._begin,
            shutdown=type(self)._finish,
            rate=max(device.config.rate, least_rate, driver.calls(device.config)),
            order=10,
        )

    def _begin(self) -> None:
        """Let the driver's commands be called, in the run that the scheduler begins."""
        if self._commands:
            doc = f"{self.device.use} on {self.bus.name}"
            self._calls = Calls(self.name, self._commands, invoke=self._invoke, doc=doc)
        self._live = LiveOptions(self.name, self.device.config, self._adopt)

    # the life cycle -----------------------------------------------------------------------------

    def _work(self) -> None:
        now = self._clock()
        working = self.state in (DeviceState.READY, DeviceState.ACTIVE)
        self._node_excused = not (working and self.samples)  # the first sample imports what it is
        try:
            self.bus.poll()
            if self.state in (DeviceState.READY, DeviceState.ACTIVE):
                self._use(now)
            else:
                self._find(now)
            self._serve()
        except DeviceFault as fault:
            self._failed(fault.at(self.name, self.bus.name), now)
        except Exception as error:  # a bug in a driver must not stop the other devices
            self.logger.debug("unexpected", exc_info=True)
            known = isinstance(error, TopicError)  # no bug, but shared memory that is full
            text = str(error) if known else f"{type(error).__name__} in the driver: {error}"
            self._failed(DeviceFault(FaultKind.OTHER, text, device=self.name), now)
        if now - self._status_ns >= STATUS_EVERY * 1e9:
            self._tell(now)

    def _find(self, now: int) -> None:
        """Look for the device and configure it."""
        if now < self._next_ns:
            return
        if self.state is DeviceState.FAULT:
            self.state = DeviceState.ABSENT
        if self._driver is None or self._generation != self.bus.generation:
            self.bus.claim(self.name, *filter(None, self.device.place.split(",")))
            link = self.bus.link(self.name, self.device.station)
            self._forget_link()
            self._driver = self.device.driver(self.device.config, link)
            self._generation = self.bus.generation
            self._steps = None
        if self._steps is None:
            began = self._clock()  # opening the bus is no fault of the device
            if not self._driver.probe():
                self._next_ns = self._polite(began, RETRY_FIRST)
                patient = now - self._since_ns < PATIENCE * 1e9
                self._enter(DeviceState.ABSENT, "does not answer", now, say=not patient)
                return
            self.found = True
            self._make_safe(self._driver)
            self._recognise(self._driver)
            self._steps = self._driver.configure() or iter(())
        try:
            self._next_ns = now + int(next(self._steps) * 1e9)
        except StopIteration:
            self._steps = None
            self._sample_ns = now
            self._enter(DeviceState.READY, f"found on {self.bus.name}, configured", now)

    def _recognise(self, driver: Driver[Any, Any]) -> None:
        """Learn which device this is, and what was found out about it before."""
        self.identity = driver.identity()
        if driver.calibration_type is not None:
            try:
                driver.calibration = calibration.load(driver.calibration_type, self._notes)
                self._kept = driver.calibration
            except ConfigError as error:
                text = f"its calibration cannot be used: {error}"
                cure = "correct the file or delete it"
                raise driver.fault(FaultKind.REJECTED, text, cure) from None

    @property
    def _notes(self) -> Path:
        """Return the file of this device's calibration."""
        place = f"{self.bus.name}-{self.device.place}" if not self.identity else self.identity
        return calibration.path_of(self.device.use, place, mock=self.mock)

    def _forget_link(self) -> None:
        if self._driver is not None:
            errors, count = self._earlier
            link = self._driver.link
            self._earlier = (errors + link.errors, count + link.bytes)
            self._driver = None

    def _use(self, now: int) -> None:
        """Let the device do its work for one tick."""
        assert self._driver is not None
        if self._generation != self.bus.generation:
            raise DeviceFault(FaultKind.OTHER, "its bus was lost and is open again")
        try:
            message = self._driver.read()
        except DeviceFault as fault:
            self._in_a_row += 1
            if self.is_actuator or fault.kind not in TRANSIENT or self._in_a_row > TOLERATED:
                raise
            self.faults += 1
            self._excuse = f"; the last fault: {fault.text}"
            return
        self._in_a_row = 0
        for method, topic in self._outputs:
            second = getattr(self._driver, method)()
            if second is not None:
                self._publish(topic, second, self._driver.link.stamp_ns)
        if message is not None:
            if not self._every_ns or self._is_time(now):
                self._publish(self._data, message, self._driver.link.stamp_ns)
                self.samples += 1
            self._sample_ns = now
            self._excuse = ""
            if not self.is_actuator:
                self._enter(DeviceState.ACTIVE, "samples arrive", now)
        elif now - self._sample_ns > self._stale_ns:
            text = f"no new sample for {(now - self._sample_ns) / 1e9:.2f} s{self._excuse}"
            raise DeviceFault(FaultKind.STALE, text, cure="was its power cut? It is set up again")

    def _between(self, rate: float) -> int:
        """Return the ns between two samples of a rate lower than that of reading; else 0."""
        return int(1e9 / rate) if rate < self._read_rate else 0

    def _is_time(self, now: int) -> bool:
        """Return whether this sample is one of the lower rate that was asked for while it runs."""
        half = 0.5e9 / self._read_rate  # samples are not quite even
        if now + half < self._next_sample_ns:
            return False
        self._next_sample_ns = max(self._next_sample_ns, now - self._every_ns) + self._every_ns
        return True

    def _adopt(self, config: DriverConfig, name: str) -> None:
        """Take an option that a person has changed; a driver's fault leaves it as it was."""
        driver, before = self._driver, self.device.config
        if driver is not None:
            driver.config = config
            try:
                if self.state in (DeviceState.READY, DeviceState.ACTIVE):
                    driver.changed(name)
            except DeviceFault:
                driver.config = before
                raise
        self.device = replace(self.device, config=config)
        if name == "rate":
            self._every_ns = self._between(config.rate)
            self._next_sample_ns = 0
        self.log_info(f"{name} is {getattr(config, name)} from now on")

    def _serve(self) -> None:
        """Carry out what was called, and keep what was found out about the device."""
        if self._live is not None:
            self._live.serve()
        if self._calls is None or not self._calls.serve() or self._driver is None:
            return
        found = self._driver.calibration
        if found is not self._kept and self.state in (DeviceState.READY, DeviceState.ACTIVE):
            self._kept = found
            try:
                calibration.save(found, self._notes)
                self.log_info(f"its calibration is saved in {self._notes}")
            except OSError as error:  # the device itself is well
                self.log_error(f"its calibration is lost at the end, it cannot be saved: {error}")

    def _invoke(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Call a command of the driver; a device that is not there refuses."""
        if self._driver is None or self.state not in (DeviceState.READY, DeviceState.ACTIVE):
            raise DeviceFault(FaultKind.ABSENT, f"{self.state.value}: {self.text}")
        return function(self._driver, **arguments)

    def _failed(self, fault: DeviceFault, now: int) -> None:
        """Make the device safe, leave it, and come back to it after a while."""
        if self._calls is not None:
            self._calls.abort(str(fault))
        self.faults += 1
        self._in_a_row = 0
        used = self.state in (DeviceState.READY, DeviceState.ACTIVE)
        if self._driver is not None and (used or self._steps is not None):
            try:
                self._make_safe(self._driver)
            except (DeviceFault, ValueError) as second:
                self.log_error(f"cannot be told to stop: {second}")
        if fault.kind in BUS_LOST and self._generation == self.bus.generation:
            self.bus.close()
        self._steps = None
        self._generation = 0  # begin anew, with a link that remembers nothing
        if used and now - self._since_ns > SETTLED * 1e9:
            self._retry = RETRY_FIRST
        self._wait(now)
        absent = fault.kind is FaultKind.NO_ACK and not used
        self._enter(DeviceState.ABSENT if absent else DeviceState.FAULT, str(fault), now)

    def _polite(self, began: int, wait: float) -> int:
        """Return when to try again: later after an attempt that kept the bus from the others."""
        now = self._clock()
        return now + max(int(wait * 1e9), min((now - began) * BUS_SHARE, int(RETRY_LAST * 1e9)))

    def _wait(self, now: int) -> None:
        self._next_ns = self._polite(now, self._retry)
        self._retry = min(self._retry * 2, RETRY_LAST)

    def _enter(
        self, state: DeviceState, text: str, now: int, *, say: bool = True, warn: bool = False
    ) -> None:
        """Take a state; every change is a status, and a text that is new is logged."""
        changed = state is not self.state or text != self.text
        if state is not self.state:
            self._since_ns = now
            notices.device_state(self.name, state.value, text)
        self.state, self.text = state, text
        if say and text != self._said:
            self._said = text
            line = text.removeprefix(f"{self.name} on {self.bus.name}: ")
            warn = warn or state in (DeviceState.ABSENT, DeviceState.FAULT)
            (self.log_warning if warn else self.log_info)(f"{state.value}: {line}")
        if changed:
            self._tell(now)

    # messages -----------------------------------------------------------------------------------

    def _publish(self, topic: str, message: Any, stamp_ns: int) -> None:
        message.stamp = wall_time(stamp_ns)
        message.mock = self.mock
        if self._mount is not None:
            self._mount.apply(message)
        self._put(topic, message, stamp_ns)

    def _tell(self, now: int) -> None:
        """Send the status."""
        self._status_ns = now
        counters = "".join(f"; {number} {what}" for what, number in self._counters() if number)
        device = self.device
        errors, count = self._earlier
        if self._driver is not None:
            link = self._driver.link
            errors, count = errors + link.errors, count + link.bytes
        status = DeviceStatus(
            level=_LEVELS[self.state],
            name=self.name,
            message=f"{self.state.name}: {self.text}{counters}",
            hardware_id=f"{device.use}@{self.bus.name}{device.place and f':{device.place}'}",
            state=self.state.value,
            driver=device.use[:32],
            bus=self.bus.name,
            place=device.place[:32],
            identity=self.identity[:64],
            rate=self._measured_rate(now),
            asked_rate=device.config.rate,
            samples=self.samples,
            faults=self.faults,
            errors=errors,
            bytes=count,
            refused=self.refused,
            late=self.late,
            stamp=wall_time(now),
            mock=self.mock,
        )
        self._put(self._status, status, None)

    def _measured_rate(self, now: int) -> float:
        """Return the samples a second since the last full window."""
        began, before, rate = self._counted
        passed = (now - began) / 1e9
        if passed >= STATUS_EVERY * 0.9:
            rate = (self.samples - before) / passed
            self._counted = (now, self.samples, rate)
        return rate

    def _counters(self) -> list[tuple[str, int]]:
        return [("samples", self.samples), ("faults", self.faults)]

    def _put(self, topic: str, message: object, stamp_ns: int | None) -> None:
        """Send; a full or broken bus is no reason to stop minding the device."""
        try:
            self.send(topic, message, stamp_ns=stamp_ns)
        except TopicError as error:
            if not self._mute:
                self.log_error(f"{topic} cannot be sent (said once): {error}")
            self._mute = True

    # safety: nothing to do for a device that only measures ------------------------------------

    def _make_safe(self, driver: Driver[Any, Any]) -> None:
        """Stop the device."""

    def _finish(self) -> None:
        """Leave the device, at the end of a run."""
        for served in (self._calls, self._live):
            if served is not None:
                served.close()
        self._calls = self._live = None
