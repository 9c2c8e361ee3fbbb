"""What HORUS itself offers to be timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import horus
from horus.bench.measure import ARRAY_BYTES, Adapter, Loop, Result
from horus.bus import CORE_NAME, Publisher, Subscriber
from horus.message import Int64, message

BURST = 64
ARRAYS = 2  # unread arrays that are kept: what iceoryx2 does, too
SPIN = 2e-4  # s


@message
class Six:
    """Six doubles."""

    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0


@message
class Stamped:
    """A stamp (monotonic ns) and seven doubles: 64 bytes."""

    stamp: Int64 = 0
    a: float = 0.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0
    g: float = 0.0


def about() -> Result:
    """Return what the figures were measured on: version and core."""
    return {"version": horus.__version__, "core": CORE_NAME}


class Ours(Adapter):
    """HORUS in this interpreter; ``HORUS_SHM_DIR`` says where its topics lie."""

    name = "horus"
    module = "horus"
    bare_node = (
        "import horus\n"
        "horus.run(horus.Node('bare', tick=lambda node: node.request_stop(), rate=100), duration=5)"
    )

    def _both(self, of: type | None = None, *, depth: int = 16, **names: Any) -> dict[str, Any]:
        return {"topic": horus.Topic(self.token, of, depth=depth), **names}

    def typed(self) -> Loop:
        """Send and receive a ready message of six doubles."""
        sent = Six(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
        return Loop(
            "send(message); got = recv()",
            self._both(Six, message=sent),
            "topic.send(message); topic.recv(); send, recv = topic.send, topic.recv",
            lambda got: got == sent,
        )

    def typed_fields(self) -> Loop:
        """Build a message of six doubles, send it, receive it, add up the six."""
        return Loop(
            "send(Six(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)); m = recv(); "
            "got = m.a + m.b + m.c + m.d + m.e + m.f",
            self._both(Six, Six=Six),
            "topic.send(Six()); topic.recv(); send, recv = topic.send, topic.recv",
            lambda got: got == 21.0,
        )

    def mapping(self) -> Loop:
        """Send and receive a dict of three floats."""
        sent = {"x": 1.0, "y": 2.0, "theta": 3.0}
        return Loop(
            "send(message); got = recv()",
            self._both(message=sent),
            "topic.send(message); topic.recv(); send, recv = topic.send, topic.recv",
            lambda got: got == sent,
        )

    def array_copied(self) -> Loop:
        """Copy 1 MB into a message, send it, receive it as an array."""
        sent = _array()
        return Loop(
            "send(message); got = recv()",
            self._both(message=sent, depth=ARRAYS),
            "topic.send(message); topic.recv(); send, recv = topic.send, topic.recv",
            lambda got: (got == sent).all(),
        )

    def array_viewed(self) -> Loop:
        """Send 1 MB that was written in shared memory, look at it there."""
        return Loop(
            "with loan(count, 'i8'): pass\ngot = recv()",
            self._both(depth=ARRAYS, count=ARRAY_BYTES // 8),
            "with topic.loan(count, 'i8'): pass\ntopic.recv(); loan, recv = topic.loan, topic.recv",
            lambda got: got.nbytes == ARRAY_BYTES,
        )

    def in_node(self, kind: str, run: Callable[[Loop], None]) -> None:
        """Call ``run`` from the tick of a node, with a loop that sends and gets through it."""
        of = Six if kind == "typed" else None
        sent: Any = Six(f=6.0) if kind == "typed" else {"x": 1.0, "y": 2.0, "theta": 3.0}
        topic = self.token

        def tick(node: horus.Node) -> None:
            names = {"node": node, "topic": topic, "message": sent}
            run(
                Loop(
                    "node.send(topic, message); got = node.get(topic)",
                    names,
                    check=lambda got: got == sent,
                )
            )
            node.request_stop()

        horus.run(horus.Node("bench", horus.Pub(topic, of), horus.Sub(topic, of), tick, 10))

    def sender(self, kind: str) -> Callable[[int], object]:
        """Return what sends one message that carries the given stamp (ns)."""
        if kind == "view":
            publisher, count = Publisher(self.token), ARRAY_BYTES // 8

            def send_view(stamp: int) -> None:
                with publisher.loan(count, "i8") as array:
                    array[0] = stamp

            return send_view
        send = Publisher(self.token, Stamped if kind == "typed" else None).send
        if kind == "typed":
            sent = Stamped()

            def send_typed(stamp: int) -> None:
                sent.stamp = stamp
                send(sent)

            return send_typed
        if kind == "mapping":
            return lambda stamp: send({"stamp": stamp, "x": 1.0, "theta": 3.0})
        array = _array()

        def send_array(stamp: int) -> None:
            array[0] = stamp
            send(array)

        return send_array

    def receiver(self, kind: str) -> Callable[[], int | None]:
        """Return what receives one message and returns its stamp, or None when there is none."""
        recv = self._subscriber(kind, ARRAYS if kind in ("array", "view") else 16).recv

        def poll_typed() -> int | None:
            got = recv()
            return None if got is None else got.stamp

        def poll_mapping() -> int | None:
            got = recv()
            return None if got is None else got["stamp"]

        def poll_array() -> int | None:
            got = recv()
            return None if got is None else int(got[0])

        return {"typed": poll_typed, "mapping": poll_mapping}.get(kind, poll_array)

    def flood(self, kind: str) -> Callable[[], object]:
        """Return what sends a burst of messages as fast as it goes."""
        send = Publisher(self.token, Stamped if kind == "typed" else None).send
        sent, count = (Stamped(), BURST) if kind == "typed" else (_array(), 1)

        def burst() -> None:
            for _ in range(count):
                send(sent)

        return burst

    def drain(self, kind: str) -> Callable[[], int]:
        """Return what takes the messages that are there and returns how many they were."""
        recv_all = self._subscriber(kind, 1024 if kind == "typed" else 4).recv_all
        return lambda: len(recv_all())

    def _subscriber(self, kind: str, depth: int) -> Subscriber:
        of = Stamped if kind == "typed" else None
        self._kept = Subscriber(self.token, of, depth=depth)
        return self._kept

    def run_nodes(
        self, count: int, rate: float, seconds: float, tick: Callable[[Any], None], work: str
    ) -> None:
        """Run nodes with this tick function for some seconds; ``work`` names the row."""
        best = work == "jitter_best"
        scheduler = horus.Scheduler(rt=best, spin=SPIN if best else None)
        for number in range(count):
            scheduler.add(horus.Node(f"node_{number}", tick=tick, rate=rate))
        scheduler.run(seconds)


def _array() -> Any:
    import numpy

    return numpy.arange(ARRAY_BYTES // 8, dtype="i8")
