"""The process that looks after the devices of one bus: ``python -m horus.hardware.worker``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from horus import notices
from horus.errors import HorusError
from horus.hal.driver import Actuator
from horus.hal.link import Clock
from horus.hardware import lastwords, simbuses
from horus.hardware.actuator import ActuatorNode
from horus.hardware.buses import BusHandle, branch_bus, claims_of, real_bus
from horus.hardware.config import BusEntry, DeviceEntry
from horus.hardware.lastwords import BusAddress
from horus.hardware.node import DriverNode
from horus.hardware.processes import parser, say_ready, show_log, tree_and_devices
from horus.hardware.wire import told
from horus.scheduler import Scheduler


def driver_node(
    device: DeviceEntry,
    bus: BusHandle,
    *,
    mock: bool = False,
    clock: Clock = time.monotonic_ns,
    address: BusAddress | None = None,
) -> DriverNode:
    """Return the node for a device, which depends on whether it moves."""
    if issubclass(device.driver, Actuator):
        return ActuatorNode(device, bus, mock=mock, clock=clock, address=address)
    return DriverNode(device, bus, mock=mock, clock=clock)


class Buses:
    """The open buses of one process: a root and those that hang from it."""

    def __init__(self, tree: Sequence[BusEntry], mock: bool) -> None:
        self.handles: dict[str, BusHandle] = {}
        self.addresses: dict[str, BusAddress] = {}
        self.branches = tuple(tree[1:])
        for entry in tree:
            self._add(entry, mock)

    def _add(self, entry: BusEntry, mock: bool) -> None:
        if entry.parent:
            parent = self.handles[entry.parent]
            claims = None if mock else claims_of(entry, parent)
            self.handles[entry.name] = BusHandle(
                entry.name, lambda: branch_bus(entry, parent), claims=claims
            )
            address = self.addresses[entry.parent]
            self.addresses[entry.name] = replace(address, branches=self.branches)
            return
        address = BusAddress(entry.name, entry.use, entry.config)
        if mock:
            baudrate = getattr(entry.config, "baudrate", 115_200)
            config = simbuses.bus_config(entry.backend.kind, entry.name, baudrate)
            address = BusAddress(entry.name, "simulated", config)
            self.handles[entry.name] = BusHandle(entry.name, told(entry.name, address.open))
        else:
            self.handles[entry.name] = BusHandle(
                entry.name, told(entry.name, lambda: real_bus(entry)), claims=claims_of(entry)
            )
        self.addresses[entry.name] = address

    def close(self) -> None:
        """Close all, children first."""
        for handle in reversed(self.handles.values()):
            handle.close()


def open_robot(
    tree: Sequence[BusEntry], devices: Sequence[DeviceEntry], mock: bool
) -> tuple[list[DriverNode], Buses]:
    """Return the nodes for all devices of a bus and the buses, which are opened when first used."""
    buses = Buses(tree, mock)
    nodes = [
        driver_node(
            device,
            buses.handles[device.bus],
            mock=mock,
            address=buses.addresses.get(device.bus),
        )
        for device in devices
    ]
    return nodes, buses


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the devices of one bus until told to stop; 1 when one could not be told to stop."""
    parse = parser("Look after the devices of one bus.")
    parse.add_argument("--mock", action="store_true", help="use simulated devices")
    args = parse.parse_args(arguments)
    show_log()
    try:
        tree, devices = tree_and_devices(args.config, args.bus)
        nodes, buses = open_robot(tree, devices, args.mock)
        notices.begin()
        try:
            with Scheduler() as scheduler:
                scheduler.add(nodes)
                say_ready()
                scheduler.run()
        finally:
            buses.close()
            notices.end()
    except HorusError as error:
        print(error)
        return 1
    return 1 if lastwords.pending() else 0


if __name__ == "__main__":
    raise SystemExit(main())
