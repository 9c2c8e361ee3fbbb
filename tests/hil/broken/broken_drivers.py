"""Drivers and twins each of which is broken in one way, as a plugin of HORUS."""

from __future__ import annotations

from math import degrees
from typing import Any

from horus_drivers.imu.mpu6050 import Mpu6050, Mpu6050Sim
from horus_drivers.motor.odrive import Odrive
from horus_drivers.range.tfmini import Tfmini, TfminiPackets

from horus.hal import DeviceFault, FaultKind, HeaderFraming
from horus.hookspecs import hookimpl
from horus.msgs import Imu, MotorCommand


class TakesAnybody(Mpu6050):
    """Whoever answers is the right one."""

    def probe(self) -> bool:
        return self.map.identity >= 0


class Slow(Mpu6050):
    """Waits far too long when it is set up."""

    def configure(self) -> Any:
        yield 6.0
        yield from super().configure()


class Hasty(Mpu6050):
    """Writes to its device when it is made."""

    def __init__(self, config: Any, link: Any) -> None:
        super().__init__(config, link)
        self.map.divider = 0


class Lazy(Mpu6050):
    """Leaves out one sample of twenty."""

    count = 0

    def read(self) -> Imu | None:
        message = super().read()
        self.count += message is not None
        return None if self.count % 20 == 0 else message


class Twice(Mpu6050):
    """Sends every other sample twice and calls it new."""

    kept: Any = None

    def read(self) -> Imu | None:
        if self.kept is not None:
            message, self.kept = self.kept, None
            self.link.stamp_ns = self.link.clock()
            return message
        self.kept = super().read()
        return self.kept


class Degrees(Mpu6050):
    """Tells rotation in °/s."""

    def read(self) -> Imu | None:
        message = super().read()
        if message is not None:
            for axis in ("gyro_x", "gyro_y", "gyro_z"):
                setattr(message, axis, degrees(getattr(message, axis)))
        return message


class Ageing(Mpu6050):
    """Stamps samples with a moment long before they were taken."""

    def read(self) -> Imu | None:
        message = super().read()
        self.link.stamp_ns -= 200_000_000
        return message


class Stumbles(Mpu6050):
    """Does not expect that its device may be gone."""

    def read(self) -> Imu | None:
        try:
            return super().read()
        except DeviceFault as fault:
            if fault.kind is FaultKind.NO_ACK:
                raise KeyError("sample") from None
            raise


class SetUpOnce(Mpu6050):
    """Sets a device up once, and thinks that this will do for ever."""

    done: list[Any] = []  # noqa: RUF012

    def configure(self) -> Any:
        if not any(bus is self.link.bus for bus in self.done):
            yield from super().configure()
            self.done[:] = [self.link.bus]


class Clings(Mpu6050):
    """Sends the last sample again when its device is silent."""

    kept: Any = None

    def read(self) -> Imu | None:
        try:
            self.kept = super().read() or self.kept
        except DeviceFault as fault:
            if fault.kind is not FaultKind.TIMEOUT:
                raise
            self.link.stamp_ns = self.link.clock()
        return self.kept


class CredulousPackets(TfminiPackets):
    """Packets whose checksum nobody looks at."""

    framing = HeaderFraming(b"\x59\x59", size=9)


class Credulous(Tfmini):
    """Takes every packet as it comes."""

    def __init__(self, config: Any, link: Any) -> None:
        super().__init__(config, link)
        self.map = CredulousPackets.of(link, config)


class Forgetful(Odrive):
    """Says nothing in safe() unless this very object has armed the motor."""

    armed = False

    def arm(self) -> None:
        self.armed = True
        super().arm()

    def safe(self) -> None:
        if self.armed:
            super().safe()


class Obeys(Odrive):
    """Does whatever it is told."""

    def check(self, command: Any) -> None:
        pass


class Dawdles(Odrive):
    """Passes on one command of ten."""

    count = 0

    def write(self, command: MotorCommand) -> None:
        self.count += 1
        if self.count % 10 == 1:
            super().write(command)


class Leaks(Mpu6050):
    """Opens a file each time it is set up, and never closes it."""

    files: list[Any] = []  # noqa: RUF012

    def configure(self) -> Any:
        self.files.append(open("/dev/null"))  # noqa: SIM115, PTH123
        yield from super().configure()


class Shares(Mpu6050):
    """Keeps what it read in its class, where another device of its kind finds it."""

    newest: tuple[int, Any] = (0, None)

    def read(self) -> Imu | None:
        message, now = super().read(), self.link.clock()
        at, other = Shares.newest
        if 0 <= now - at < 5_000_000 and other is not None:
            return other
        Shares.newest = now, message
        return message


class Strong(Mpu6050):
    """A driver that is right, whose twin is not."""


class StrongSim(Mpu6050Sim, twin_of=Strong):
    """Measures a fifth too much."""

    def accel_counts(self, scale: float) -> list[int]:
        return super().accel_counts(1.2 * scale)


@hookimpl
def horus_drivers() -> dict[str, str]:
    """Offer them under names of their own."""
    found = [value for value in globals().values() if isinstance(value, type)]
    ours = [one for one in found if one.__module__ == __name__ and hasattr(one, "probe")]
    offered = {f"broken_{one.__name__.lower()}": f"{__name__}:{one.__name__}" for one in ours}
    return {**offered, "broken_heavy": "broken_heavy:Heavy"}
