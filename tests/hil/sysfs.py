"""A kernel's files as they are with certain things plugged in."""

from __future__ import annotations

from pathlib import Path


class Sysfs:
    """A folder that looks like the root of a machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.devices = root / "sys/devices"
        (root / "dev").mkdir(parents=True)
        self.devices.mkdir(parents=True)

    def _write(self, folder: Path, **files: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text + "\n")
        return folder

    def _link(self, link: Path, target: Path) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def _driver(self, device: Path, name: str) -> None:
        driver = self._write(self.root / "sys/bus/any/drivers" / name)
        self._link(device / "driver", driver)

    def usb(self, port: str, ids: str, serial: str = "", interface: int = 0) -> Path:
        """Plug a USB device into a port such as 1-1.3; return its interface."""
        vendor, product = ids.split(":")
        device = self._write(
            self.devices / "pci0000:00/0000:00:14.0/usb1" / port,
            idVendor=vendor,
            idProduct=product,
            manufacturer="Acme",
            product="Thing",
            **({"serial": serial} if serial else {}),
        )
        return self._write(device / f"{port}:1.{interface}", bInterfaceNumber=f"{interface:02x}")

    def serial(self, name: str, interface: Path, driver: str = "ftdi_sio") -> None:
        """Make a serial port of a USB interface."""
        device = self._write(interface / name)
        self._driver(device, driver)
        self._write(device / "tty" / name)
        self._link(device / "tty" / name / "device", device)
        self._link(self.root / "sys/class/tty" / name, device / "tty" / name)
        (self.root / "dev" / name).touch()

    def can(self, name: str, device: Path, driver: str, port: int = 0) -> None:
        """Make a CAN interface of a device."""
        if not (device / "driver").exists():
            self._driver(device, driver)
        about = self._write(
            device / "net" / name, type="280", flags="0x40c1", dev_port=str(port), dev_id="0x0"
        )
        self._link(about / "device", device)
        self._link(self.root / "sys/class/net" / name, about)

    def pci(self, slot: str) -> Path:
        """Put a card into a PCI slot."""
        return self._write(self.devices / "pci0000:00" / slot)

    def i2c(self, number: int, name: str, controller: str) -> None:
        """Make an I2C adapter of a controller."""
        adapter = self._write(self.devices / "platform" / controller / f"i2c-{number}", name=name)
        about = self._write(adapter / "i2c-dev" / f"i2c-{number}", name=name)
        self._link(about / "device", adapter)
        self._link(self.root / f"sys/class/i2c-dev/i2c-{number}", about)
        (self.root / f"dev/i2c-{number}").touch()
