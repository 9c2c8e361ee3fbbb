"""`SimRobot`: a whole robot on simulated devices in one process, in simulated time.

For scenarios that run far faster than the clock on the wall and repeat exactly::

    with SimRobot("horus.yaml", seed=1) as robot:
        robot.run(2)
        robot.twin("imu").rotation = (0, 0, 1)             # rad/s
        robot.until(lambda: robot.latest("imu").gyro_z > 0.9, seconds=1)
        robot.fault("imu").unplug()
        robot.until(lambda: robot.state("imu") == "fault", seconds=1)

Drivers, twins and the robot's own nodes are stepped together by one scheduler on one `SimClock`.
Nodes that ask Python's `time` or have a loop of their own do not follow it; a device that makes its
bus wait makes the whole robot wait.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from horus.bus import Publisher, Subscriber, remap, session
from horus.errors import HorusError, did_you_mean
from horus.hal.driver import marked
from horus.hal.sim import Sim
from horus.hardware import config as hardware_config
from horus.hardware.actuator import ActuatorNode
from horus.hardware.node import DriverNode
from horus.hardware.simworld import SimWorld
from horus.hardware.steering import clear_faults, set_fault
from horus.hardware.worker import driver_node
from horus.node import Node, startvalues
from horus.node.caller import Caller, CallRefusedError
from horus.node.chance import seed_everything
from horus.scheduler import Scheduler
from horus.scheduler.clock import SimClock
from horus.scheduler.programs import nodes_of

__all__ = ["Fault", "ScenarioTimeoutError", "SimRobot", "Twin"]

#: Unread messages that a topic read by `SimRobot.latest` or `SimRobot.received` keeps.
DEPTH = 4096


class ScenarioTimeoutError(HorusError, TimeoutError):
    """A condition did not come true in the time given."""


class Twin:
    """A twin as a scenario sees it: its stimuli can be set, all else of it can be read."""

    _sim: Sim[Any, Any]
    _name: str

    def __init__(self, name: str, sim: Sim[Any, Any]) -> None:
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_sim", sim)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sim, name)

    def __setattr__(self, name: str, value: Any) -> None:
        values = list(value) if isinstance(value, (tuple, list)) else [value]
        try:
            self._sim.stimulate(name, values)
        except ValueError as error:
            known = name in self._sim.stimuli
            kind: type[Exception] = ValueError if known else AttributeError
            raise kind(f"{self._name}: {error}") from None

    def __repr__(self) -> str:
        return f"<twin of {self._name}: {type(self._sim).__name__}>"


class Fault:
    """What is wrong with a twin's device, to be switched on and off."""

    def __init__(self, sim: Sim[Any, Any]) -> None:
        self._sim = sim

    def unplug(self) -> None:
        """Take the device's power and bus away."""
        self._sim.unplug()

    def plug(self) -> None:
        """Give power back: the device starts anew, unconfigured."""
        self._sim.plug()

    def silence(self) -> None:
        """Let the device stop answering, powered and moving as before."""
        self._sim.silence()

    def nak(self, share: float) -> None:
        """Lose this share of what is sent to the device."""
        set_fault(self._sim, "nak", share)

    def corrupt(self, share: float) -> None:
        """Damage this share of what the device sends."""
        set_fault(self._sim, "corrupt", share)

    def drop(self, share: float) -> None:
        """Lose this share of what the device sends."""
        set_fault(self._sim, "drop", share)

    def slow(self, seconds: float) -> None:
        """Let the device answer this much later."""
        set_fault(self._sim, "slow", seconds)

    def clear(self) -> None:
        """End all faults."""
        clear_faults(self._sim)


class SimRobot:
    """A robot from its horus.yaml, simulated in this process.

    Args:
        config: the horus.yaml, or its folder.
        seed: from which all noise follows, also that of Python's `random`; None: that of each
            device's own ``mock: {seed: ...}``.
        nodes: True: the robot's own nodes too, as horus.yaml names them; or nodes to be run
            instead of them; False: devices only.
        start: seconds that its clock shows at first.

    It has a session of its own: topics opened in this process while it exists are its topics.
    ``with`` closes it; `close` makes every device safe first.
    """

    def __init__(
        self,
        config: str | Path | hardware_config.RobotConfig,
        *,
        seed: int | None = None,
        nodes: bool | Iterable[Node] = True,
        start: float = 1.0,
    ) -> None:
        if not isinstance(config, hardware_config.RobotConfig):
            config = hardware_config.load(config)
        self.config = config
        self.clock = SimClock(start)
        self._world = SimWorld(config, self.clock, seed)
        self._ends: dict[str, Subscriber] = {}
        self._newest: dict[str, Any] = {}
        self._senders: dict[str, Publisher] = {}
        self._session_before = os.environ.get("HORUS_SESSION_ID")
        self._session = session.new_session()
        self._closed = False
        os.environ["HORUS_SESSION_ID"] = self._session.id
        self.clock.__enter__()
        self.scheduler = Scheduler(clock=self.clock, seed=seed)
        try:
            if seed is not None:
                seed_everything(seed)  # for what node files do when they are imported
            self.nodes = {device.name: self._driver(device) for device in config.hardware.values()}
            everybody = [*self._world.nodes(), *self.nodes.values()]
            self.scheduler.add(*everybody)
            for node, order in self._own(nodes):
                self.scheduler.add(node, order)
                everybody.append(node)
            self._sent = {topic for node in everybody for topic in node._node_pubs}
            self._heard = {topic for node in everybody for topic in node._node_subs}
        except BaseException:
            self.close()
            raise

    def _driver(self, device: hardware_config.DeviceEntry) -> DriverNode:
        bus = self._world.handles[device.bus]
        node = driver_node(device, bus, mock=True, clock=self.clock.monotonic_ns)
        if isinstance(node, ActuatorNode):
            node._sleep = self._pause
        return node

    def _own(self, nodes: bool | Iterable[Node]) -> list[tuple[Node, int]]:
        if isinstance(nodes, bool):
            found = []
            for entry in self.config.entries if nodes else ():
                launch = entry.launch
                with remap.using(launch.remap):
                    made = nodes_of(entry.path, self.clock, args=launch.args, env=launch.env)
                if launch.params:
                    startvalues.apply([node for node, _ in made], launch.params)
                found += made
            return found
        return [(node, node.order) for node in nodes]

    def _pause(self, seconds: float) -> None:
        """Let time pass for the twins alone, at the end of a run."""
        self.clock.sleep(seconds)
        self._world.step()

    # time -------------------------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Simulated seconds since the start."""
        return self.clock.seconds

    def run(self, seconds: float) -> None:
        """Let so many simulated seconds pass."""
        self.scheduler.advance(seconds)

    def until(
        self, condition: Callable[[], object], seconds: float = 10.0, *, step: float = 0.01
    ) -> float:
        """Let time pass until a condition holds; return how many seconds it took.

        It is looked at every ``step`` seconds. When it does not hold after ``seconds``, a
        `ScenarioTimeoutError` tells how the devices are.
        """
        began = self.seconds
        while not condition():
            passed = self.seconds - began
            if passed >= seconds:
                states = ", ".join(
                    f"{n}: {self.state(n)} ({d.text})" for n, d in self.nodes.items()
                )
                text = f"the condition does not hold after {passed:g} simulated seconds; {states}"
                raise ScenarioTimeoutError(text)
            self.run(step)
        return self.seconds - began

    # devices ----------------------------------------------------------------------------------

    def twin(self, name: str) -> Any:
        """Return the twin of a device: set its stimuli as attributes, in their units."""
        return Twin(name, self._sim(name))

    def fault(self, name: str) -> Fault:
        """Return what can be wrong with a device."""
        return Fault(self._sim(name))

    def truth(self, name: str) -> dict[str, Any]:
        """Return the true state of a device."""
        self._world.step()
        return self._sim(name).truth()

    def state(self, name: str) -> str:
        """Return the state of a device: ``absent``, ``ready``, ``active`` or ``fault``."""
        self._sim(name)
        return self.nodes[name].state.value

    def call(self, device: str, method: str, *args: Any, timeout: float = 5.0, **kw: Any) -> Any:
        """Let a device carry out a command of its driver; time passes until it is done."""
        if device in self.nodes and not marked(self.nodes[device].device.driver, "command"):
            driver = self.nodes[device].device.use
            raise CallRefusedError(f"{device} has no commands: its driver {driver} has none")
        with Caller(device) as caller:
            pending = caller.start(method, *args, timeout=timeout, **kw)
            while not pending.poll():
                self.run(0.01)
            return pending.result()

    def _sim(self, name: str) -> Sim[Any, Any]:
        found = self._world.twins.get(name)
        if found is None:
            known = self._world.twins
            near = did_you_mean(name, known) or f"; its devices: {', '.join(known) or 'none'}"
            raise KeyError(f"the robot has no device {name!r}{near}")
        return found

    # topics -----------------------------------------------------------------------------------

    def received(self, topic: str) -> list[Any]:
        """Return what came on a topic since it was asked for last; at first, the newest only."""
        end = self._ends.get(topic)
        if end is None:
            _known(topic, self._sent, "sends")
            end = self._ends[topic] = Subscriber(topic, depth=DEPTH, latch=True)
        found = end.recv_all()
        if found:
            self._newest[topic] = found[-1]
        return found

    def latest(self, topic: str) -> Any:
        """Return the newest message on a topic, however old; None when there never was one."""
        self.received(topic)
        return self._newest.get(topic)

    def send(self, topic: str, message: object) -> None:
        """Put a message on a topic, such as a command."""
        if topic not in self._senders:
            _known(topic, self._heard, "reads")
            self._senders[topic] = Publisher(topic)
        self._senders[topic].send(message)

    # the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop: every device is made safe, nodes are shut down, buses and topics closed."""
        if self._closed:
            return
        self._closed = True
        try:
            with self.scheduler:
                pass
        finally:
            self._world.close()
            for end in (*self._ends.values(), *self._senders.values()):
                end.close()
            self.clock.__exit__(None, None, None)
            if self._session_before is None:
                os.environ.pop("HORUS_SESSION_ID", None)
            else:
                os.environ["HORUS_SESSION_ID"] = self._session_before
            session.end_session(self._session.id)

    def __enter__(self) -> SimRobot:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _known(topic: str, topics: set[str], what: str) -> None:
    """Raise a `KeyError` for a topic that is probably another one misspelt."""
    near = did_you_mean(topic, topics)
    if near and topic not in topics:
        raise KeyError(f"none of the robot's nodes {what} {topic!r}{near}")
