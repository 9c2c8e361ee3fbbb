"""Devices that send by themselves, on a bad line: what is delivered is right, or nothing is.

Not the standard scan of an RPLidar: without a checksum nobody can tell a flipped bit in a distance.
"""

import math
from typing import Any

import pytest
from horus_drivers.gnss.nmea import Nmea, NmeaConfig, NmeaSim
from horus_drivers.gnss.receiver import ReceiverSimConfig
from horus_drivers.gnss.ublox import Ublox, UbloxConfig, UbloxSim, UbloxSimConfig
from horus_drivers.lidar.ld06 import Ld06, Ld06Config, Ld06Sim
from horus_drivers.lidar.planar import ScannerSimConfig, wall
from horus_drivers.lidar.rplidar import Rplidar, RplidarConfig, RplidarSim
from horus_drivers.range.tfmini import Tfmini, TfminiConfig, TfminiSim

from horus.hal import DeviceFault, LocalSerial, SerialLink

STILL = {"first_fix": 0.0, "error": 0.0}


def make(use: str) -> tuple[Any, Any, Any]:
    """Return a driver's class, its options and its twin."""
    if use == "nmea":
        config = NmeaConfig(rate=10.0)
        return Nmea, config, NmeaSim(config, ReceiverSimConfig(**STILL))
    if use == "ublox":
        return Ublox, UbloxConfig(), UbloxSim(UbloxConfig(), UbloxSimConfig(**STILL))
    if use == "ld06":
        return Ld06, Ld06Config(), Ld06Sim(Ld06Config(), ScannerSimConfig(noise=0.0))
    if use == "rplidar":
        return Rplidar, RplidarConfig(), RplidarSim(RplidarConfig(), ScannerSimConfig(noise=0.0))
    return Tfmini, TfminiConfig(), TfminiSim(TfminiConfig())


def check(use: str, twin: Any, message: Any) -> None:
    """Compare a message with the twin's world."""
    if use in ("nmea", "ublox"):
        latitude, longitude, height = twin.place()[0]
        if message.status >= 0:
            assert message.latitude == pytest.approx(latitude, abs=3e-5)
            assert message.longitude == pytest.approx(longitude, abs=5e-5)
            assert math.isnan(message.altitude) or abs(message.altitude - height) < 0.2
            assert message.satellites in (0, 11)
            speed = math.hypot(message.velocity[0], message.velocity[1])
            assert math.isnan(speed) or speed == pytest.approx(1.5, abs=0.3)
    elif use in ("ld06", "rplidar"):
        for ray, metres in enumerate(message.ranges):
            angle = message.angle_min + ray * message.angle_increment
            near, far = (wall(twin.room, twin.pose, angle + turn) for turn in (-0.03, 0.03))
            low, high = min(near, far) - 0.05, max(near, far) + 0.05
            corner = wall(twin.room, twin.pose, angle)
            assert math.isnan(metres) or min(low, corner) - 0.1 < metres < max(high, corner) + 0.1
    else:
        assert message.range == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2])
@pytest.mark.parametrize("use", ["nmea", "ublox", "ld06", "rplidar", "tfmini"])
def test_no_damaged_frame_is_delivered(clock: Any, use: str, share: float) -> None:
    kind, config, twin = make(use)
    port = LocalSerial([twin], "s0", clock.monotonic_ns, clock.sleep)
    link = SerialLink(port, 0, "device", clock.monotonic_ns)
    driver = kind(config, link)
    while not driver.probe():
        clock.advance(0.1)
    for pause in driver.configure() or ():
        clock.advance(pause)
    found = 0
    for number in range(1600):
        if number == 300:
            twin.corrupt(share)
        clock.advance(0.005)
        try:
            message = driver.read()
        except DeviceFault:
            continue
        if message is not None:
            check(use, twin, message)
            found += 1
    assert found > 25
