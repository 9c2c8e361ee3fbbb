"""The process that looks after the devices of one bus: ``python -m horus.hardware.worker``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from horus.errors import HorusError
from horus.hal.driver import Actuator
from horus.hal.link import Clock
from horus.hardware import lastwords, simbuses, topics
from horus.hardware.actuator import ActuatorNode
from horus.hardware.buses import BusHandle, real_bus
from horus.hardware.config import BusEntry, DeviceEntry
from horus.hardware.lastwords import BusAddress
from horus.hardware.node import DriverNode
from horus.hardware.processes import bus_and_devices, parser, say_ready, show_log
from horus.node import Node
from horus.scheduler import Scheduler

TRUTH_RATE = 20.0  # Hz


class TruthNode(Node):
    """Shows the true state of twins that live in this process."""

    def __init__(self, twins: Mapping[str, Any]) -> None:
        self.twins = {topics.truth_topic(name): twin for name, twin in twins.items()}
        super().__init__("sim", pubs=list(self.twins), tick=type(self)._show, rate=TRUTH_RATE)

    def _show(self) -> None:
        for topic, twin in self.twins.items():
            self.send(topic, {"mock": True, **twin.truth()})


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


def open_robot(
    entry: BusEntry, devices: list[DeviceEntry], mock: bool
) -> tuple[list[Node], BusHandle]:
    """Return the nodes for all devices of a bus, and the bus, which is opened when first used."""
    address = BusAddress(entry.name, entry.use, entry.config)
    extra: list[Node] = []
    if not mock:
        handle = BusHandle(entry.name, lambda: real_bus(entry))
    elif entry.backend.kind == "can":
        address = BusAddress(entry.name, "simulated", simbuses.can_config(entry.name))
        handle = BusHandle(entry.name, address.open)
    else:
        simulated, twins = simbuses.make_i2c(entry.name, devices)
        handle = BusHandle(entry.name, lambda: simulated)
        extra = [TruthNode(twins)]
    made: list[Node] = [driver_node(d, handle, mock=mock, address=address) for d in devices]
    return made + extra, handle


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the devices of one bus until told to stop; 1 when one could not be told to stop."""
    parse = parser("Look after the devices of one bus.")
    parse.add_argument("--mock", action="store_true", help="use simulated devices")
    args = parse.parse_args(arguments)
    show_log()
    try:
        entry, devices = bus_and_devices(args.config, args.bus)
        nodes, bus = open_robot(entry, devices, args.mock)
        try:
            with Scheduler() as scheduler:
                scheduler.add(nodes)
                say_ready()
                scheduler.run()
        finally:
            bus.close()
    except HorusError as error:
        print(error)
        return 1
    return 1 if lastwords.pending() else 0


if __name__ == "__main__":
    raise SystemExit(main())
