"""What is in the virtual machine beside its processor: the same in each, so that rigs can name it.

=========  =======================================  ================================================
name       in the machine                           its other end
=========  =======================================  ================================================
can_a      kvaser_pci at 0000:00:04.0               can_b, by one CAN bus
can_b      kvaser_pci at 0000:00:05.0               can_a
can_c      kvaser_pci at 0000:00:08.0               can_d, by another CAN bus
can_d      kvaser_pci at 0000:00:09.0               can_c
uart       /dev/ttyS1, a 16550A                     `Port` uart.twin, in the machine too
usb        /dev/ttyUSB0, an FTDI FT232 (0403:6001)  /dev/ttyS2, a 16550A, in the machine too
smbus      PIIX4 SMBus with EEPROMs at 0x50-0x57
=========  =======================================  ================================================

Those in `PLUGGABLE` can be unplugged and plugged in again while the machine runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Serial number of the USB adapter.
USB_SERIAL = "HORUS001"
#: By name: what QEMU is told of each.
PLUGGABLE: Mapping[str, Mapping[str, Any]] = {
    "can_a": {"driver": "kvaser_pci", "canbus": "can", "addr": "4"},
    "can_b": {"driver": "kvaser_pci", "canbus": "can", "addr": "5"},
    "can_c": {"driver": "kvaser_pci", "canbus": "can2", "addr": "8"},
    "can_d": {"driver": "kvaser_pci", "canbus": "can2", "addr": "9"},
    "usb": {
        "driver": "usb-serial",
        "chardev": "usb",
        "bus": "uhci.0",
        "port": "1",
        "serial": USB_SERIAL,
    },
}
#: Which CAN adapter devices are on, and which one their twins are on.
PAIRS: Mapping[str, str] = {"can_a": "can_b"}
#: The first place on the PCI bus that nothing else is at.
FREE_SLOT = 10
#: Lines that end in the machine itself, where a twin stands at the other end.
LINES = ("uart", "usb")
#: Modules of the kernel for all of that.
DRIVERS = (
    *("i2c_dev", "i2c_piix4", "cuse", "can_raw", "can_isotp", "vcan", "vxcan", "slcan"),
    *("kvaser_pci", "uhci_hcd", "ftdi_sio"),
)
#: Those whose other end is a UART too, by its number: what nobody takes waits there in the open and
#: can be thrown away. A port would hold it back, for who opens the line a minute later.
UARTS: Mapping[str, int] = {"usb": 2}
PORTS = Path("/sys/class/virtio-ports")


def properties(name: str) -> dict[str, Any]:
    """Return what QEMU wants to know of something that is plugged in."""
    return {"id": name, **PLUGGABLE[name]}


def slot(name: str) -> str:
    """Return the place on the PCI bus of something that is plugged in, as /sys calls it."""
    return f"0000:00:{int(PLUGGABLE[name]['addr'], 16):02x}.0"


def line_of(device: str) -> str:
    """Return which of `LINES` a serial port of the machine is; "" if none."""
    if device == "/dev/ttyS1":
        return "uart"
    return "usb" if device.startswith("/dev/ttyUSB") else ""


def far_end(line: str) -> Path | None:
    """Return the device node of the other end of one of `LINES`; None outside the machine."""
    if line in UARTS:
        return Path(f"/dev/ttyS{UARTS[line]}") if port("control") is not None else None
    return port(f"{line}.twin")


def port(name: str, ports: Path = PORTS) -> Path | None:
    """Return the device node of one of the machine's ports to the outside; None if it has none."""
    for place in ports.glob("*"):
        try:
            if (place / "name").read_text().strip() == name:
                return Path("/dev") / place.name
        except OSError:
            continue
    return None
