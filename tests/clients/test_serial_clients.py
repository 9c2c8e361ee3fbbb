"""Other people's clients of serial devices, on real pseudo-terminals, against the twins.

GNSS: pyubx2 and pynmeagps read the twins' streams. RPLidar: rplidar-roboticia. LD06: lds2d.
TFmini: tfmini. Modbus: minimalmodbus. Those that are not installed are skipped (extra: clients).
"""

from __future__ import annotations

import errno
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pytest
import serial
from horus_drivers.gnss.nmea import NmeaConfig, NmeaSim
from horus_drivers.gnss.receiver import ReceiverSimConfig
from horus_drivers.gnss.ublox import UbloxConfig, UbloxSim, UbloxSimConfig
from horus_drivers.lidar.ld06 import Ld06Config, Ld06Sim
from horus_drivers.lidar.planar import wall
from horus_drivers.lidar.rplidar import RplidarConfig, RplidarSim
from horus_drivers.range.tfmini import TfminiConfig, TfminiSim

from horus.hal import DriverConfig, SerialSimHost, option
from horus.hal.modbusmap import Holding, Input, ModbusMap
from horus.hal.ptyserial import PtyPort
from horus.hal.simmodbus import ModbusSim, ModbusSimHost

Serve = Callable[[Any], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Put a twin behind a pty, moved on by a thread; return the port's path."""
    over = threading.Event()
    threads, ports = [], []

    def start(twin: Any) -> str:
        port = PtyPort()
        host: Any = (ModbusSimHost if isinstance(twin, ModbusSim) else SerialSimHost)(port, [twin])

        def run() -> None:
            while not over.is_set():
                host.step(0.002)

        threads.append(threading.Thread(target=run))
        ports.append(port)
        threads[-1].start()
        return port.path

    yield start
    over.set()
    for thread in threads:
        thread.join()
    for port in ports:
        port.close()


def load(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed (extra: clients)")


# GNSS --------------------------------------------------------------------------------------------


def test_pynmeagps_reads_the_nmea_receiver(serve: Serve) -> None:
    from pynmeagps import NMEAReader

    twin = NmeaSim(NmeaConfig(rate=10.0), ReceiverSimConfig(first_fix=0.0, error=0.0))
    with serial.Serial(serve(twin), timeout=10) as stream:
        stream.reset_input_buffer()
        stream.readline()
        found = [parsed for _, parsed in islice(NMEAReader(stream, quitonerror=2), 12)]
    kinds = [parsed.msgID for parsed in found]
    assert set(kinds) == {"RMC", "GGA", "GSA"}
    latitude, longitude, height = twin.place()[0]
    for parsed in found:
        if parsed.msgID == "GGA":
            assert parsed.lat == pytest.approx(latitude, abs=1e-3)
            assert parsed.lon == pytest.approx(longitude, abs=1e-3)
            assert parsed.alt + parsed.sep == pytest.approx(height, abs=0.2)
            assert (parsed.quality, parsed.numSV) == (1, 11)
        if parsed.msgID == "RMC":
            assert parsed.status == "A"
            assert parsed.spd * 1852 / 3600 == pytest.approx(1.5, abs=0.3)


@pytest.mark.parametrize("generation", [8, 9])
def test_pyubx2_sets_up_and_reads_the_ublox_receiver(serve: Serve, generation: Any) -> None:
    from pyubx2 import POLL, SET, UBXMessage, UBXReader

    options = UbloxSimConfig(first_fix=0.0, error=0.0, generation=generation)
    twin = UbloxSim(UbloxConfig(), options)
    with serial.Serial(serve(twin), timeout=10) as stream:
        reader = UBXReader(stream, protfilter=7, quitonerror=2)

        def ask(message: Any, answer: str) -> Any:
            stream.write(message.serialize())
            return next(parsed for _, parsed in reader if parsed.identity == answer)

        stream.reset_input_buffer()
        stream.readline()
        version = ask(UBXMessage("MON", "MON-VER", POLL), "MON-VER")
        assert b"PROTVER" in version.extension_02
        keys = [("CFG_RATE_MEAS", 100), ("CFG_MSGOUT_UBX_NAV_PVT_UART1", 1)]
        stream.write(UBXMessage.config_set(1, 0, keys).serialize())
        answer = next(parsed for _, parsed in reader if parsed.identity.startswith("ACK"))
        assert answer.identity == ("ACK-ACK" if generation == 9 else "ACK-NAK")
        assert (answer.clsID, answer.msgID) == (0x06, 0x8A)
        if generation == 8:
            on = UBXMessage("CFG", "CFG-MSG", SET, msgClass=1, msgID=7, rateUART1=1)
            short = UBXMessage("CFG", "CFG-MSG", SET, payload=bytes((1, 7, 1)))
            assert on.identity == short.identity
            assert ask(short, "ACK-ACK").msgID == 0x01
        found = [p for _, p in islice((r for r in reader if r[1].identity == "NAV-PVT"), 3)]
    latitude, longitude, height = twin.place()[0]
    for pvt in found:
        assert (pvt.fixType, pvt.gnssFixOk, pvt.numSV) == (3, 1, 11)
        assert pvt.lat == pytest.approx(latitude, abs=1e-3)
        assert pvt.lon == pytest.approx(longitude, abs=1e-3)
        assert pvt.height / 1e3 == pytest.approx(height, abs=0.2)
        assert pvt.height - pvt.hMSL == pytest.approx(47_000, abs=2)
        assert pvt.gSpeed / 1e3 == pytest.approx(math.hypot(pvt.velE, pvt.velN) / 1e3, abs=0.01)
        assert (pvt.validDate, pvt.validTime) == (1, 1)


# scanners and range finders ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["normal", "express"])
def test_rplidar_roboticia_scans_the_room(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    rplidar = load("rplidar")
    update = serial.Serial._update_dtr_state

    def tolerant(self: Any) -> None:  # a pty has no DTR line, and this client insists on it
        try:
            update(self)
        except OSError as error:
            assert error.errno == errno.ENOTTY

    monkeypatch.setattr(serial.Serial, "_update_dtr_state", tolerant)
    twin = RplidarSim(RplidarConfig())
    lidar = rplidar.RPLidar(serve(twin), timeout=10)
    try:
        info = lidar.get_info()
        assert (info["model"], info["firmware"], info["hardware"]) == (0x28, (1, 0x18), 4)
        assert info["serialnumber"].endswith("01")
        assert lidar.get_health() == ("Good", 0)
        scans = list(islice(lidar.iter_scans(kind, max_buf_meas=False), 12))
        lidar.stop()
        lidar.stop_motor()
    finally:
        lidar.disconnect()
    scan = scans[-1]
    assert len(scan) > 300
    assert kind == "express" or scan[0][1] < 5.0  # the first of a turn
    for quality, degrees, millimetres in scan:
        assert quality == (47 if kind == "normal" else None)
        true = wall(twin.room, twin.pose, -math.radians(degrees))
        near = 0.12 if kind == "normal" else 0.3  # its express angles are one ray ahead
        assert millimetres / 1e3 == pytest.approx(true, abs=near)


def test_lds2d_scans_the_room_with_an_ld06(serve: Serve) -> None:
    lds2d = load("lds2d")
    twin = Ld06Sim(Ld06Config())
    with lds2d.Lidar.open("LD06", serve(twin)) as lidar:
        scan = list(islice(lidar.scans(), 12))[-1]
    assert scan.scan_freq_hz == pytest.approx(10.0, abs=0.5)
    assert len(scan) > 350
    for point in scan.valid_points:
        true = wall(twin.room, twin.pose, -math.radians(point.angle_deg))
        assert point.dist_mm / 1e3 == pytest.approx(true, abs=0.12)


def test_tfmini_measures_the_distance(serve: Serve) -> None:
    tfmini = load("tfmini")
    twin = TfminiSim(TfminiConfig(model="tfmini"))
    twin.stimulate("distance", [3.5])
    device = tfmini.TFmini(serve(twin), mode=tfmini.TFmini.STD_MODE)
    try:
        assert device.read() == pytest.approx(3.5, abs=0.03)
        assert device.strength == pytest.approx(20_000 * 0.8 / 3.5**2, rel=0.01)
    finally:
        device.close()


# Modbus ------------------------------------------------------------------------------------------


class MeterRegisters(ModbusMap):
    level = Input(3, "h")
    limit = Holding(7, "h", reset=100)
    total = Holding(8, "I", reset=123_456_789)
    factor = Holding(10, "f", reset=2.5)


@dataclass(frozen=True, kw_only=True)
class MeterConfig(DriverConfig):
    unit: int = option(5, low=1, high=247)


class MeterSim(ModbusSim[MeterConfig, MeterRegisters]):
    def update(self) -> None:
        self.map.level = -42


def test_minimalmodbus_reads_and_writes_a_unit(serve: Serve) -> None:
    minimalmodbus = load("minimalmodbus")
    twin = MeterSim(MeterConfig())
    meter = minimalmodbus.Instrument(serve(twin), 5)
    meter.serial.timeout = 5.0
    try:
        assert meter.read_register(3, functioncode=4, signed=True) == -42
        assert meter.read_register(7) == 100
        assert meter.read_long(8) == 123_456_789
        assert meter.read_float(10) == 2.5
        meter.write_register(7, -7, signed=True, functioncode=6)
        meter.write_register(7, 12, functioncode=16)
        meter.write_float(10, -0.75)
        with pytest.raises(minimalmodbus.IllegalRequestError):
            meter.read_register(50)
    finally:
        meter.serial.close()
    assert twin.map.limit == 12
    assert twin.map.factor == -0.75
