"""A CAN bus on which a test plays one side with bytes: the device for a driver, or its master."""

from typing import Any

from horus.hal import CanFrame, CanHub, CanLink, CanSimHost
from horus.hal.localcan import CanWire


def frame(id: int, data: str = "", extended: bool = False) -> CanFrame:
    return CanFrame(id, bytes.fromhex(data), extended=extended)


class Wire:
    """The driver's end of a bus; the test plays the device."""

    def __init__(self, clock: Any, driver: Any, **options: Any) -> None:
        wire = CanWire("can0", clock.monotonic_ns)
        self.clock = clock
        self.end = wire.open()
        self.hub = CanHub(wire.open())
        link = CanLink(self.hub, options["node"], "wheel", clock.monotonic_ns)
        self.driver = driver(driver.config_type(**options), link)

    def sent(self) -> list[CanFrame]:
        """What the driver sent since the last look."""
        return list(iter(self.end.receive, None))

    def give(self, *frames: CanFrame) -> None:
        for each in frames:
            self.end.send(each)
        self.sent()
        self.hub.poll()


class TwinBench:
    """The master's end of a bus with a twin on it; the test plays the master."""

    def __init__(self, clock: Any, driver: Any, sim: Any = None, **options: Any) -> None:
        self.clock = clock
        wire = CanWire("can0", clock.monotonic_ns)
        self.twin: Any = driver.twin(driver.config_type(**options), sim)
        self.host = CanSimHost(wire.open(), [self.twin], clock.monotonic_ns)
        self.end = wire.open()
        self.extended = driver.map_type.extended

    def run(self, seconds: float) -> list[CanFrame]:
        """Let time pass; return what was on the bus."""
        for _ in range(round(seconds * 200)):
            self.clock.advance(0.005)
            self.host.step()
        return list(iter(self.end.receive, None))

    def send(self, id: int, data: str) -> list[CanFrame]:
        """Send bytes; return what the twin answered."""
        self.run(0.0)
        sent = frame(id, data, self.extended)
        self.end.send(sent)
        self.host.step()
        return [found for found in iter(self.end.receive, None) if found != sent]
