"""`Node`: a named piece of a robot's program that ticks at a rate and talks over topics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from horus.clock import now_ns, wall_time
from horus.errors import ComputeError
from horus.node import options
from horus.node.callbacks import Callbacks
from horus.node.chance import Chance
from horus.node.ends import Ends
from horus.node.info import NodeInfo
from horus.node.options import Compute, FailurePolicy, On, OnMiss
from horus.node.params import Param, Params
from horus.node.pubsub import Pub, Pubs, Sub, Subs, declared

if TYPE_CHECKING:
    import logging
    from random import Random

    from numpy.random import Generator
    from numpy.typing import DTypeLike

    from horus.bus.lending import MessageLoan
    from horus.bus.loans import Loan
    from horus.bus.publisher import Shape
    from horus.scheduler import Scheduler

__all__ = ["FailurePolicy", "Node"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_M = TypeVar("_M")  # a message class
_N = TypeVar("_N", bound="Node")  # a subclass's functions take that subclass


class Node:
    """A named piece of a robot's program: functions called at a rate, topics in and out.

    Args:
        name: letters, digits and ``_ - . /``, at most 64; without one, ``node_`` and 8 hex digits.
        pubs: topics it publishes: a name, a `Pub`, or a list of them.
        subs: topics it subscribes to: a name, a `Sub`, or a list of them.
        tick: called with the node at each tick. ``async def``: all such nodes of a run share one
            event loop, on which the next three run as well, ``async def`` or not; a tick that is
            due while the last one has not ended is skipped and counted as an overrun; at a stop,
            what does not end within 0.2 s is cancelled.
        rate: ticks a second, in Hz; 30 if not given.
        init: called with the node before the first tick.
        shutdown: called with the node after the last tick, on every kind of stop.
        on_error: called with the node and the exception when a tick raised; the node goes on.
        on: topics of ``subs`` (or a `Sub`) whose messages call ``tick``: it runs as soon as one of
            them has something unread, again while it leaves something, and once for all that came
            while it ran. A ``rate`` is then a heartbeat: after so long without a tick it ticks
            without a message, which is how silence is noticed.
        thread: give the node a thread of its own, because its tick blocks.
        compute: ``"thread"``: tick is heavy and runs on a thread of a pool, which computes on no
            more than all cores at once (one that takes more than a second no longer counts).
            ``"process"``: the same, and what tick gives to `compute`
            runs in a process of the node's own, on another core. The next tick comes when the last
            one has its result.
        order: which of several nodes due together goes first: the lower one.
        failure_policy: what an exception without ``on_error`` does. ``"fatal"``: the run ends and
            raises it. ``"restart"``: shutdown, a pause (``restart_delay`` seconds, doubled each
            time), init again; after ``max_restarts`` in a row it is fatal. ``"skip"``: logged, the
            next tick comes as usual; 5 in a row rest the node for 1 s. ``"ignore"``: counted, the
            first one logged.
        budget: seconds that a tick may take; longer ones are counted (`NodeInfo.over_budget`) and
            the first is told.
        deadline: seconds after it was due by which a tick must have ended; what is later is
            counted (`NodeInfo.deadline_misses`) and ``on_miss`` follows.
        on_miss: ``"warn"``: it is logged, at most once a second. ``"skip"``: the next tick is left
            out as well. ``"safe"``: every actuator of the run is made safe, and the node's own
            `safe` is called. ``"stop"``: the run stops in order and raises a `DeadlineError`.
        watchdog: seconds after which a tick or a ``shutdown`` that has not ended is said to hang,
            with the place where it does, while it does: actuators are made safe at once, and
            ``on_miss`` follows. A ``shutdown`` that hangs is left then, and so is a tick when the
            run is to end. It watches nothing in simulated time.
        params: values by name that a person changes while it runs (``horus param set``): a default
            or a `Param` with a range and a unit; ``node.param(name)`` returns the present one. They
            change between ticks only.

    Topics are opened when the node is added to a scheduler, or at their first use before that.

    """

    #: True for a node that moves something: `safe` is called first on every kind of stop.
    is_actuator = False

    # Names of what the SDK keeps here start with _node_ so that subclasses can use theirs.

    def __init__(
        self: _N,
        name: str | None = None,
        pubs: Pubs = None,
        subs: Subs = None,
        tick: Callable[[_N], object] | None = None,
        rate: float = options.DEFAULT_RATE,
        init: Callable[[_N], object] | None = None,
        shutdown: Callable[[_N], object] | None = None,
        on_error: Callable[[_N, Exception], object] | None = None,
        *,
        on: On = None,
        thread: bool = False,
        compute: Compute | None = None,
        order: int = 100,
        failure_policy: FailurePolicy = "fatal",
        max_restarts: int = 5,
        restart_delay: float = 0.1,
        budget: float | None = None,
        deadline: float | None = None,
        on_miss: OnMiss | None = None,
        watchdog: float | None = None,
        params: Mapping[str, Param | bool | float | str] | None = None,
    ) -> None:
        self._node_chance = Chance(name)
        self._node_name = name = options.checked_name(name)
        self._node_pubs = declared(name, Pub, pubs)
        self._node_subs = declared(name, Sub, subs)
        self._node_on = options.checked_on(name, on, self._node_subs)
        self._node_rate = options.node_rate(name, rate, self._node_on)
        if not isinstance(order, int):
            raise TypeError(f"node {name!r}: order is {order!r}; it must be a whole number")
        options.checked_policy(name, failure_policy, max_restarts, restart_delay)
        self._node_limits = options.checked_limits(name, budget, deadline, watchdog, on_miss)
        self.thread = bool(thread)
        self.order = order
        self.failure_policy = failure_policy
        self.max_restarts = max_restarts
        self.restart_delay = restart_delay
        #: True while it does what takes its time, such as opening a device: no tick is missed then.
        self._node_excused = False
        self._node_calls = Callbacks(name, tick, init, shutdown, on_error)
        self._node_computes = options.checked_kind(
            name, compute, self.thread, self._node_on, self._node_calls
        )
        self._node_params = None if not params else Params(name, params)
        if self._node_params is not None:
            if compute == "process":
                raise ValueError(
                    f"node {name!r}: params change values in this process, where a tick with "
                    "compute='process' does not run: leave one of the two out"
                )
            self._node_params.around(self._node_calls)
        #: Runs a function in the node's process, while there is one.
        self._node_child: Callable[..., Any] | None = None
        self._node_info = NodeInfo(name, self.log_error)
        self._node_info._budget = self._node_budget
        self._node_log: logging.Logger | None = None
        self._node_host: Scheduler | None = None  # that it was added to
        self._node_since = now_ns()  # from when on silence counts as age
        self._node_ends = ends = Ends(name, self._node_pubs, self._node_subs, self.log_warning)
        self._node_subscribers = ends.subscribers
        self._node_receivers = ends.receivers
        self._node_senders = ends.senders

    @property
    def name(self) -> str:
        """Return the node's name."""
        return self._node_name

    @property
    def rate(self) -> float:
        """Return the node's rate in Hz; `Scheduler.set_node_rate` changes it.

        0.0: only messages call it (``on=``).
        """
        return self._node_rate

    @property
    def info(self) -> NodeInfo:
        """Return the node's state, metrics and uptime."""
        return self._node_info

    @property
    def random(self) -> Random:
        """Return the node's own random numbers, as Python's `random` makes them.

        With ``Scheduler(seed=...)`` they follow from the seed and the node's name, so another node
        more or less does not change them. A node without a name has its place among such nodes,
        in the order of adding, instead.
        """
        return self._node_chance.random

    @property
    def rng(self) -> Generator:
        """Return the node's own random numbers, as numpy makes them; otherwise as `random`."""
        return self._node_chance.rng

    def __repr__(self) -> str:
        when = f"{self.rate:g} Hz" if self.rate else f"on {', '.join(self._node_on)}"
        return f"<{type(self).__name__} {self.name!r} {when} {self.info.state}>"

    def _node_budget(self) -> float:
        """Return how many seconds a tick may take: the budget, else the period; 0: it has none."""
        limits, hertz = self._node_limits, self._node_rate
        if limits is not None and limits.budget_ns:
            return limits.budget_ns * 1e-9
        return 1 / hertz if hertz else 0.0

    # receiving --------------------------------------------------------------------------------

    def has_msg(self, topic: str) -> bool:
        """Return whether something unread is there; consumes nothing."""
        return self._node_subscribers[topic].unread() > 0

    def get(self, topic: str) -> Any:
        """Return the next unread message, in order per publisher, or None."""
        return self._node_receivers[topic]()

    def get_all(self, topic: str) -> list[Any]:
        """Return every unread message, in order."""
        return self._node_subscribers[topic].recv_all()

    def get_latest(self, topic: str) -> Any:
        """Return the newest unread message and discard the older ones, or None.

        What a control loop wants of a sensor that is faster than itself.
        """
        return self._node_subscribers[topic].latest()

    def get_with_timestamp(self, topic: str) -> tuple[Any, float] | None:
        """Return the next unread message and its time (unix seconds), or None."""
        found = self._node_subscribers[topic].recv_stamped()
        return None if found is None else (found[0], wall_time(found[1]))

    def get_timestamp(self, topic: str) -> float | None:
        """Return the time (unix seconds) of the message `get` would return next, or None."""
        stamp = self._node_subscribers[topic].peek_stamp()
        return None if stamp is None else wall_time(stamp)

    def get_message_age(self, topic: str) -> float | None:
        """Return the age (s) of the message `get` would return next, or None."""
        stamp = self._node_subscribers[topic].peek_stamp()
        return None if stamp is None else (now_ns() - stamp) * 1e-9

    def is_stale(self, topic: str, max_age: float) -> bool:
        """Return whether nothing younger than ``max_age`` seconds has come.

        Unread messages older than that are discarded, so a `get` that follows returns something
        younger or None. When none ever came, the silence counts from the node's start.
        """
        if not max_age >= 0:
            raise ValueError(f"is_stale({topic!r}): max_age is {max_age!r}; it is seconds, >= 0")
        subscriber = self._node_subscribers[topic]
        oldest = now_ns() - int(max_age * 1e9) if max_age < 1e9 else 0
        if oldest > 0:
            subscriber.discard_before(oldest)
        if subscriber.unread():
            return False
        return (subscriber.last_stamp or self._node_since) < oldest

    def dropped(self, topic: str) -> int:
        """Return how many messages of a topic were dropped unread."""
        return self._node_ends.dropped(topic)

    def recv(self, topic: str) -> Any:
        """Return the next unread message or None, as `get` does."""
        return self.get(topic)

    def recv_all(self, topic: str) -> list[Any]:
        """Return every unread message, as `get_all` does."""
        return self.get_all(topic)

    # sending ----------------------------------------------------------------------------------

    def send(self, topic: str, data: object, *, stamp_ns: int | None = None) -> bool:
        """Put a message on a topic; True once it is on the bus.

        ``stamp_ns`` is the moment of sampling on the monotonic clock; without it, now.

        Raises:
            UndeclaredTopicError: (a KeyError) the topic is not in ``pubs``.
            MessageTypeError: (a TypeError) None, or an object that cannot be sent.

        """
        try:
            return self._node_senders[topic](data, stamp_ns)
        except TypeError as error:
            if isinstance(topic, str):
                raise
            raise TypeError(
                f"node {self.name!r}: send(topic, message) takes the topic's name first, "
                f"got {topic!r}"
            ) from error

    def compute(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a heavy function where ``compute=`` says, wait for its result and return it.

        In a process, the function must be one of a module's top level, and what it takes and
        returns must be such that pickle takes it; the file that defines it is imported there.
        Without threads (`Scheduler.tick_once`, `Scheduler.advance`, `SimClock`) it runs in place.

        Raises:
            ComputeError: it could not be sent there, or the process died.
            Exception: what the function raised, with its traceback from there as the cause.

        """
        if self._node_computes is None:
            raise ComputeError(
                f"node {self.name!r} has no compute=; give it compute='process' or compute='thread'"
            )
        child = self._node_child
        return function(*args, **kwargs) if child is None else child(function, args, kwargs)

    @overload
    def loan(
        self, topic: str, /, shape: Shape, dtype: DTypeLike = ..., *, stamp_ns: int | None = ...
    ) -> Loan: ...
    @overload
    def loan(
        self,
        topic: str,
        cls: type[_M],
        shape: Shape,
        dtype: DTypeLike = ...,
        /,
        *,
        stamp_ns: int | None = ...,
        **fields: Any,
    ) -> MessageLoan[_M]: ...
    def loan(self, topic: str, /, *args: Any, **more: Any) -> Any:
        """Return a place in shared memory for an array; the end of ``with`` sends it on the topic.

        ``with node.loan("image", (480, 640, 3)) as pixels: camera.read_into(pixels)``, or of a
        message class, ``node.loan("image", Image, (480, 640, 3), encoding="rgb8")``; see
        `horus.Topic.loan`.
        """
        return self._node_ends.publisher(topic).loan(*args, **more)

    # topics -----------------------------------------------------------------------------------

    def get_publishers(self) -> list[str]:
        """Return the names of the topics it publishes."""
        return list(self._node_pubs)

    def get_subscribers(self) -> list[str]:
        """Return the names of the topics it subscribes to."""
        return list(self._node_subs)

    def open_topics(self) -> None:
        """Open every declared topic that is not open yet; from now on nothing sent is missed."""
        self._node_ends.open()
        if self._node_params is not None:
            self._node_params.open()

    def close_topics(self) -> None:
        """Close the node's topics; using one opens it again."""
        self._node_ends.close()
        if self._node_params is not None:
            self._node_params.close()

    def param(self, name: str) -> Any:
        """Return the present value of one of its parameters (``params=``).

        A `ParamError` (a ValueError) names those that it has, if this is none.
        """
        if self._node_params is None:
            self._node_params = Params(self.name, {})
        return self._node_params[name]

    # logging ----------------------------------------------------------------------------------

    @property
    def logger(self) -> logging.Logger:
        """Return the node's logger, ``horus.node.<name>``, to set its level or handlers."""
        if self._node_log is None:
            from horus.logs import logger

            self._node_log = logger(f"node.{self.name}")
        return self._node_log

    def log_debug(self, message: object) -> None:
        """Log a line for whoever looks into this node."""
        self.logger.debug(message, stacklevel=2)

    def log_info(self, message: object) -> None:
        """Log a line about the normal course of things."""
        self.logger.info(message, stacklevel=2)

    def log_warning(self, message: object) -> None:
        """Log a line about something to look at."""
        self.logger.warning(message, stacklevel=2)

    def log_error(self, message: object) -> None:
        """Log a line about something that went wrong; it does not count as an error."""
        self.logger.error(message, stacklevel=2)

    # the run ----------------------------------------------------------------------------------

    def request_stop(self) -> None:
        """End the run this node is part of, cleanly; nothing happens when it is not running."""
        if self._node_host is not None:
            self._node_host.stop()

    def safe(self) -> None:
        """Bring what this node moves to a safe stand; an actuator's node overrides it.

        Called from another thread than ``tick``, when no tick is running unless that one hangs.
        """
