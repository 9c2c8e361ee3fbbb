"""Recorded bus traffic of a device in the place of its twin: ``mock: {replay: run.mcap}``.

The device answers as it did, and sends by itself what it sent, at the same distance in time from
what the driver says. What the driver says and did not say then is told with both and the time.
Nothing comes of it: a write is acknowledged, a question is not answered. At the end the device is
without power for a second, and then begins anew.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from horus.hal.can import CanFrame
from horus.hal.config import DriverConfig, SimConfig
from horus.hal.driver import Driver
from horus.hal.faults import DeviceFault, FaultKind
from horus.hal.frames import CanMap
from horus.hal.modbusmap import ModbusMap
from horus.hal.packets import PacketMap
from horus.hal.player import Player
from horus.hal.registers import RegisterMap
from horus.hal.sim import Sim
from horus.hal.simcan import CanSim
from horus.hal.simi2c import RegisterSim
from horus.hal.simmodbus import READ_HOLDING, READ_INPUT, WRITE_ONE, ModbusSim
from horus.hal.simserial import SerialSim
from horus.hal.tape import FLAGS, Event, Tape, Word, shown

__all__ = ["Replayed", "replayed"]

ConfigT = TypeVar("ConfigT", bound=DriverConfig)
RegistersT = TypeVar("RegistersT", bound=RegisterMap)
FramesT = TypeVar("FramesT", bound=CanMap)
PacketsT = TypeVar("PacketsT", bound=PacketMap)
ModbusT = TypeVar("ModbusT", bound=ModbusMap)


class Replayed:
    """What the four kinds of replayed device have in common."""

    player: Player
    time: float
    _start_ns: int | None

    @property
    def tape(self) -> Tape:
        """The traffic, how far it is, and where the driver differed."""
        return self.player.tape

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the twin was first moved on."""
        return round(self.time * 1e9)

    def own(self, events: Sequence[Event]) -> list[Event]:
        """Return what of a bus's traffic is this device's."""
        return list(events)

    def power_on(self) -> None:
        """Play from the beginning."""
        self.player.begin(self.now_ns)

    def truth(self) -> dict[str, object]:
        """Return how far the recording is, and where the driver differed from it first."""
        tape = self.tape
        at = tape.time_ns(min(tape.at, len(tape.events) - 1)) / 1e9 if tape.events else 0.0
        found: dict[str, object] = {
            "replays": tape.name,
            "at": at,
            "length": tape.length,
            "deviations": tape.deviations,
        }
        return found | ({"differs": tape.differences[0]} if tape.differences else {})

    def say(self, word: Word, now_ns: int | None = None) -> tuple[list[Event], Event | None]:
        """Go on behind what the driver says."""
        now_ns = self.now_ns if now_ns is None else now_ns
        return self.player.say(lambda other: other == word, shown(word), now_ns)

    def unheard(self, word: Word, deviations: int) -> DeviceFault:
        """Return the fault of a question that has no answer."""
        if self.tape.deviations == deviations:
            text = f"the recording {self.tape.name} is over; it begins anew in a second"
            return DeviceFault(FaultKind.NO_ACK, text)
        cure = "driver or options differ from those that were recorded"
        return DeviceFault(FaultKind.REJECTED, self.tape.difference(shown(word)), cure=cure)


class ReplayedI2c(Replayed, RegisterSim[ConfigT, RegistersT]):
    """A chip that answers each transaction as it did."""

    def own(self, events: Sequence[Event]) -> list[Event]:
        """Return the transactions with its address."""
        return [event for event in events if event["address"] == self.station]

    def transfer(self, write: bytes, read: int) -> bytes:
        """Return the recorded answer, or raise the recorded fault."""
        word = ("i2c", self.station, bytes(write), read)
        before = self.tape.deviations
        _, event = self.say(word)
        if event is None:
            if not read and self.tape.deviations > before:
                return b""
            raise self.unheard(word, before)
        return _answer(event)


class ReplayedModbus(Replayed, ModbusSim[ConfigT, ModbusT]):
    """A unit that answers each request as it did."""

    def own(self, events: Sequence[Event]) -> list[Event]:
        """Return the requests to its unit."""
        return [event for event in events if event["unit"] == self.station]

    def request(self, pdu: bytes) -> bytes:
        """Return the recorded answer, or raise the recorded fault."""
        function = pdu[0]
        word = _request(self.station, pdu)
        before = self.tape.deviations
        _, event = self.say(word)
        if event is None:
            raise self.unheard(word, before)
        if "fault" in event:
            refused = re.search(r"\(exception (\d+)\)", str(event["text"]))
            if refused:
                return bytes((function | 0x80, int(refused[1])))
            raise DeviceFault(FaultKind(event["fault"]), str(event["text"]))
        if "values" in event:
            return pdu[:5]
        words = list(event["read"])
        return struct.pack(f">BB{len(words)}H", function, 2 * len(words), *words)


class ReplayedCan(Replayed, CanSim[ConfigT, FramesT]):
    """A device that sends its frames as it did."""

    def own(self, events: Sequence[Event]) -> list[Event]:
        """Return the frames to it and from it; a bus may have delivered the driver's own again."""
        found = []
        echoes: Counter[CanFrame] = Counter()
        for event in events:
            frame = _frame(event)
            if event["sent"]:
                echoes[frame] += 1
                if self.hears(frame):
                    found.append(event)
            elif echoes[frame]:
                echoes[frame] -= 1
            elif not (frame.error or frame.remote) and self.sends(frame):
                found.append(event)
        return found

    def receive(self, frame: CanFrame) -> list[CanFrame]:
        """Go on behind a frame from the driver; return what comes with it."""
        if self.faults.unplugged or not self.hears(frame) or self.chance(self.faults.nak):
            return []
        word = ("can", frame.id, bytes(frame.data), *(getattr(frame, flag) for flag in FLAGS))
        now = self.now_ns
        if frame.stamp_ns and self._start_ns is not None:  # when it was on the wire
            now = min(now, frame.stamp_ns - self._start_ns)
        passed, _ = self.say(word, now)
        return self._out(passed)

    def due(self) -> list[CanFrame]:
        """Return the frames whose time has come."""
        return self._out(self.player.due(self.now_ns))

    def hears(self, frame: CanFrame) -> bool:
        """Return whether a frame on the bus is one to this device."""
        if frame.error or frame.extended != self.map_type.extended:
            return False
        return self.command_in(frame) is not None or (not frame.data and self.sends(frame))

    def sends(self, frame: CanFrame) -> bool:
        """Return whether a frame on the bus is one from this device."""
        return frame.extended == self.map_type.extended and any(
            report.when is None or not frame.data or report.when(frame.data, self.station)
            for report in self._reports.get(frame.id, ())
        )

    def _out(self, events: Sequence[Event]) -> list[CanFrame]:
        for event in events:
            self.emit_frame(_frame(event))
        return self._collect()


class ReplayedSerial(Replayed, SerialSim[ConfigT, PacketsT]):
    """A device that sends its bytes as it did; it hears bytes, however they are cut."""

    def __init__(self, config: ConfigT, options: SimConfig | None = None) -> None:
        self._said = bytearray()
        super().__init__(config, options)

    def power_on(self) -> None:
        """Play from the beginning; what was half heard is forgotten."""
        self._said.clear()
        super().power_on()

    def receive(self, data: bytes) -> list[bytes]:
        """Go on behind bytes from the driver; return what comes with them."""
        if self.faults.unplugged or not self.tape.events:
            return []
        self._said += data
        found: list[bytes] = []
        while self._said:
            said = bytes(self._said)
            place = self.tape.find(lambda word, said=said: _begins(said, word[1]))  # type: ignore[misc]
            word = None if place is None else self.tape.words[place]
            if word is not None and len(word[1]) > len(said):
                break  # the rest is on its way
            passed, event = self.player.say(
                lambda other, said=said: said.startswith(other[1]),  # type: ignore[misc]
                shown(("serial", said)),
                self.now_ns,
            )
            if event is None:
                self._said.clear()
            else:
                del self._said[: len(event["data"])]
                found += [bytes(one["data"]) for one in passed]
        return self._on_wire(found)

    def emit(self) -> list[bytes]:
        """Return the bytes whose time has come."""
        return [bytes(event["data"]) for event in self.player.due(self.now_ns)]


def _begins(said: bytes, recorded: bytes) -> bool:
    """Return whether one of both begins with the other."""
    return said.startswith(recorded) or recorded.startswith(said)


def _frame(event: Event) -> CanFrame:
    flags = {flag: bool(event.get(flag)) for flag in FLAGS}
    return CanFrame(event["id"], bytes(event["data"]), **flags)


def _answer(event: Event) -> bytes:
    if "fault" in event:
        raise DeviceFault(FaultKind(event["fault"]), str(event["text"]))
    return bytes(event["read"])


def _request(unit: int, pdu: bytes) -> Word:
    """Return what a Modbus request says."""
    function, data = pdu[0], pdu[1:]
    address, number = struct.unpack_from(">HH", data)
    if function in (READ_HOLDING, READ_INPUT):
        table = "holding" if function == READ_HOLDING else "input"
        return ("modbus", unit, table, address, number)
    if function == WRITE_ONE:
        return ("modbus", unit, address, (number,), True)
    return ("modbus", unit, address, struct.unpack_from(f">{number}H", data, 5), False)


KINDS: Mapping[str, type[Sim[Any, Any]]] = {
    "i2c": ReplayedI2c,
    "can": ReplayedCan,
    "serial": ReplayedSerial,
    "modbus": ReplayedModbus,
}


def replayed(
    driver: type[Driver[Any, Any]],
    config: Any,
    options: SimConfig | None,
    events: Sequence[Event],
    name: str,
    tell: Callable[[str], object],
) -> Sim[Any, Any]:
    """Return what stands in the place of a device's twin and plays its part of a bus's traffic.

    ``tell`` is told where the driver differs, and the end.
    """
    base: Any = KINDS[driver.map_type.bus_kind]
    about = {"map_type": driver.map_type, "player": Player(Tape(()))}
    made: Any = type(f"Replayed{driver.__name__}", (base,), about)(config, options)
    made.player = Player(Tape(made.own(events), name, tell))
    made.power_on()
    return made  # type: ignore[no-any-return]
