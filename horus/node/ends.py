"""The ends of topics that a node holds: opened by name at their first use, closed together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from horus.errors import UndeclaredTopicError, did_you_mean
from horus.node.pubsub import Pub, Sub

if TYPE_CHECKING:
    from horus.bus import Publisher, Subscriber

__all__ = ["Ends"]


class _Opening(dict[str, Any]):
    """What is opened, by topic; what is missing is opened when it is asked for."""

    __slots__ = ("_open",)

    def __init__(self, open_topic: Callable[[str], Any]) -> None:
        super().__init__()
        self._open = open_topic

    def __missing__(self, topic: str) -> Any:
        opened = self[topic] = self._open(topic)
        return opened


def _other_names() -> Mapping[str, str]:
    """Return what topics are called in this run where a program calls them otherwise."""
    from horus.bus import remap

    return remap.current()


class Ends:
    """The publishers and subscribers of one node.

    ``senders`` and ``receivers`` hold bound methods, so that a message costs one look-up.
    """

    def __init__(
        self,
        node: str,
        pubs: dict[str, Pub],
        subs: dict[str, Sub],
        warn: Callable[[str], object],
    ) -> None:
        self._node = node
        self._pubs = pubs
        self._subs = subs
        self._warn = warn
        self._names = _other_names() if pubs or subs else {}
        self._warned: set[str] = set()
        self._lost: dict[str, int] = {}  # by subscriptions closed since
        self._publishers: dict[str, Publisher] = {}
        self.subscribers: dict[str, Subscriber] = _Opening(self._subscribe)
        self.receivers: dict[str, Callable[[], Any]] = _Opening(self._receive)
        self.senders: dict[str, Callable[..., bool]] = _Opening(self._publish)

    def open(self) -> None:
        """Open every declared topic that is not open yet."""
        for topic in self._subs:
            self.subscribers[topic]
        for topic in self._pubs:
            self.senders[topic]

    def close(self) -> None:
        """Close all; using one opens it again."""
        self.senders.clear()
        self.receivers.clear()
        subscribers = dict(self.subscribers)
        self.subscribers.clear()
        publishers, self._publishers = self._publishers, {}
        for topic, subscriber in subscribers.items():
            self._lost[topic] = self._lost.get(topic, 0) + subscriber.dropped
            subscriber.close()
        for publisher in publishers.values():
            publisher.close()

    def dropped(self, topic: str) -> int:
        """Return how many messages were dropped unread, also before the topic was last closed."""
        if topic not in self._subs:
            raise self._undeclared(topic, "reads", "subs", self._subs, self._pubs)
        subscriber = self.subscribers.get(topic)
        return self._lost.get(topic, 0) + (subscriber.dropped if subscriber else 0)

    def _subscribe(self, topic: str) -> Subscriber:
        sub = self._subs.get(topic)
        if sub is None:
            raise self._undeclared(topic, "reads", "subs", self._subs, self._pubs)
        from horus.bus import Subscriber

        warn = partial(self._warn_lag, topic, sub.depth)
        name = self._names.get(topic, topic)
        return Subscriber(name, sub.type, depth=sub.depth, latch=sub.latch, on_drop=warn)

    def _receive(self, topic: str) -> Callable[[], Any]:
        return self.subscribers[topic].recv

    def _publish(self, topic: str) -> Callable[..., bool]:
        pub = self._pubs.get(topic)
        if pub is None:
            raise self._undeclared(topic, "sends to", "pubs", self._pubs, self._subs)
        from horus.bus import Publisher

        name = self._names.get(topic, topic)
        publisher = self._publishers[topic] = Publisher(name, pub.type)
        return publisher.send

    def publisher(self, topic: str) -> Publisher:
        """Return the publisher of a declared topic, opened if need be."""
        self.senders[topic]
        return self._publishers[topic]

    def _undeclared(
        self, topic: str, does: str, option: str, known: Collection[str], others: Collection[str]
    ) -> UndeclaredTopicError:
        listed = ", ".join(map(repr, known)) or "none"
        also = f", only in {'subs' if option == 'pubs' else 'pubs'}" if topic in others else ""
        return UndeclaredTopicError(
            f"node {self._node!r} {does} topic {topic!r}, which is not in its {option}{also}"
            f"{did_you_mean(str(topic), known)}; declared {option}: {listed}"
        )

    def _warn_lag(self, topic: str, depth: int) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            self._warn(
                f"topic {topic!r} brings more than this node reads: beyond {depth} unread messages "
                f"the oldest are dropped. Read the newest with node.get_latest({topic!r}), or keep "
                f"more with Sub({topic!r}, depth=...). Said once; node.dropped({topic!r}) counts."
            )
