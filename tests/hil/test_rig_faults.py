"""The means by which a bench breaks something: what they do, and how they fail."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from horus.testing.rig.faults import MEANS, MeansError, breaker_type
from horus.testing.rig.faults.gpio_relay import (
    GET_LINE,
    SET_VALUES,
    GpioRelay,
    GpioRelayOptions,
)
from horus.testing.rig.faults.network_relay import NetworkRelay, NetworkRelayOptions
from horus.testing.rig.faults.person import Person, PersonOptions
from horus.testing.rig.faults.usb_hub import Done, UsbHub, UsbHubOptions, run


@pytest.mark.parametrize("by", MEANS)
def test_each_means_is_there(by: str) -> None:
    kind = breaker_type(by)
    assert callable(kind.cut) and callable(kind.restore)


def hub(code: int = 0, text: str = "") -> tuple[UsbHub, list[Sequence[str]]]:
    ran: list[Sequence[str]] = []

    def record(command: Sequence[str]) -> Done:
        ran.append(command)
        return Done(code, text)

    return UsbHub("servos", UsbHubOptions(hub="1-1", port=3), record), ran


def test_a_hub_switches_the_port_off_and_on() -> None:
    made, ran = hub()
    made.cut()
    made.restore()
    assert [" ".join(command) for command in ran] == [
        "uhubctl -l 1-1 -p 3 -a off",
        "uhubctl -l 1-1 -p 3 -a on",
    ]


def test_a_hub_that_cannot_switch_is_told_with_what_uhubctl_said() -> None:
    made, _ = hub(1, "No compatible devices detected at location 1-1!\n")
    with pytest.raises(MeansError) as caught:
        made.cut()
    assert str(caught.value) == (
        "servos: `uhubctl -l 1-1 -p 3 -a off`: No compatible devices detected at location 1-1!; "
        "`uhubctl` lists the hubs that can switch power: is 1-1 among them?"
    )


def test_without_permission_the_udev_rule_is_named() -> None:
    made, _ = hub(1, "Permission denied\n")
    with pytest.raises(MeansError, match="udev rule"):
        made.cut()


def test_a_command_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MeansError, match="uhubctl is not installed: `sudo apt install uhubctl`"):
        run(["uhubctl"])


class _Relay(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        self.send_response(200 if self.path in ("/off", "/on") else 404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def relay() -> Iterator[tuple[str, list[str]]]:
    handler = type("Handler", (_Relay,), {"asked": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_relay_in_the_network_is_asked(relay: tuple[str, list[str]]) -> None:
    url, asked = relay
    made = NetworkRelay("motor", NetworkRelayOptions(off=f"{url}/off", on=f"{url}/on"))
    made.cut()
    made.restore()
    assert asked == ["/off", "/on"]


def test_a_relay_that_refuses_is_told(relay: tuple[str, list[str]]) -> None:
    url, _ = relay
    made = NetworkRelay("motor", NetworkRelayOptions(off=f"{url}/of", on=f"{url}/on"))
    with pytest.raises(MeansError, match="/of answers 404"):
        made.cut()


def test_a_relay_that_is_not_there_is_told(relay: tuple[str, list[str]]) -> None:
    options = NetworkRelayOptions(off="http://127.0.0.1:1/off", on="http://127.0.0.1:1/on")
    with pytest.raises(MeansError, match="does not answer: .*is it switched on"):
        NetworkRelay("motor", options).cut()


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        NetworkRelayOptions(off="relay/off", on="http://relay/on")


class Pin:
    """A GPIO chip with one pin that stays as it is when nobody holds it any more."""

    def __init__(self, folder: Path) -> None:
        self.chip = folder / "gpiochip0"
        self.chip.touch()
        self.on = False
        self.requests: list[bytes] = []
        self.ends: list[int] = []

    def ioctl(self, fd: int, request: int, argument: bytearray) -> None:
        """Do as the kernel does; the numbers and offsets are those of linux/gpio.h."""
        if request == SET_VALUES:
            bits, mask = struct.unpack("=QQ", argument)
            assert mask == 1
            self.on = bool(bits)
            return
        assert request == GET_LINE
        self.requests.append(bytes(argument))
        identifier, _, values, mask = struct.unpack_from("=IIQQ", argument, 320)
        assert (identifier, mask) == (2, 1)
        self.on = bool(values)
        read, write = os.pipe()
        self.ends.append(read)
        struct.pack_into("=i", argument, 588, write)

    def relay(self, ioctl: Any = None, **options: Any) -> GpioRelay:
        made = GpioRelayOptions(chip=str(self.chip), line=17, **options)
        return GpioRelay("imu", made, ioctl or self.ioctl)

    def is_held(self) -> bool:
        """Return whether the line that was taken last is still held."""
        os.set_blocking(self.ends[-1], False)
        try:
            return os.read(self.ends[-1], 1) != b""
        except BlockingIOError:
            return True


@pytest.fixture
def pin(tmp_path: Path) -> Iterator[Pin]:
    made = Pin(tmp_path)
    yield made
    for end in made.ends:
        os.close(end)


def test_a_gpio_line_is_held_while_the_fault_lasts(pin: Pin) -> None:
    made = pin.relay(active_low=True)
    made.cut()
    (request,) = pin.requests
    assert len(request) == 592
    assert struct.unpack_from("=I", request, 0) == (17,)
    assert request[256:288].rstrip(b"\0") == b"horus-hil"
    flags, attributes = struct.unpack_from("=QI", request, 288)
    assert flags == 1 << 1 | 1 << 3  # active low, output
    assert attributes == 1
    assert struct.unpack_from("=I", request, 560) == (1,)  # one line
    made.cut()
    assert len(pin.requests) == 1
    assert pin.on and pin.is_held()
    made.restore()
    assert not pin.on and not pin.is_held()


def test_a_relay_that_a_killed_run_left_on_is_switched_off_by_the_next(pin: Pin) -> None:
    pin.on = True
    pin.relay().restore()
    assert not pin.on and not pin.is_held()


def test_a_relay_that_cannot_be_switched_off_is_told(pin: Pin) -> None:
    def ioctl(fd: int, request: int, argument: bytearray) -> None:
        if request == SET_VALUES:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        pin.ioctl(fd, request, argument)

    made = pin.relay(ioctl)
    made.cut()
    with pytest.raises(MeansError, match="line 17 of .* cannot be switched off again"):
        made.restore()
    assert not pin.is_held()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.EBUSY, "is in use: `gpioinfo` says by whom"),
        (errno.EINVAL, "has no line 17"),
        (errno.ENODEV, "`gpiodetect` lists the chips"),
        (errno.EACCES, "may not be opened"),
    ],
)
def test_a_gpio_line_that_cannot_be_had_is_told(tmp_path: Any, code: int, text: str) -> None:
    chip = tmp_path / "gpiochip0"
    chip.touch()

    def ioctl(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    made = GpioRelay("imu", GpioRelayOptions(chip=str(chip), line=17), ioctl)
    with pytest.raises(MeansError, match=text):
        made.cut()


def test_a_person_is_asked_to_pull_the_plug_and_to_put_it_back() -> None:
    asked: list[str] = []
    made = Person("gnss", PersonOptions(what="the GNSS antenna"), asked.append)
    made.restore()  # nothing is out
    made.cut()
    made.restore()
    assert asked == [
        "Unplug the GNSS antenna, then press Enter:",
        "Plug the GNSS antenna in again, then press Enter:",
    ]
