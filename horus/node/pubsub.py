"""How a node declares the topics it publishes and subscribes to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

__all__ = ["Pub", "Sub"]


class _Declaration:
    """A topic's name and, if it is fixed, its message type."""

    __slots__ = ("topic", "type")

    def __init__(self, topic: str, type: type[Any] | None = None) -> None:
        kind = self.__class__.__name__
        from horus.bus.files import check_name  # here: importing horus does not load the bus

        check_name(topic)
        if type is not None and not isinstance(type, _CLASS):
            raise TypeError(
                f"{kind}({topic!r}): the message type must be a class, not {type!r}; "
                f"declare one with @horus.message, or leave it out to send anything"
            )
        self.topic = topic
        self.type = type

    def _options(self) -> tuple[object, ...]:
        return (self.topic, self.type)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__ or not isinstance(other, _Declaration):
            return NotImplemented
        return self._options() == other._options()

    def __hash__(self) -> int:
        return hash((self.__class__, self._options()))

    def __repr__(self) -> str:
        options = "".join(
            f", {name}={value!r}"
            for name, value in zip(("type", "depth", "latch"), self._options()[1:], strict=False)
        )
        return f"{self.__class__.__name__}({self.topic!r}{options})"


_CLASS = type  # the builtin, under a name that no parameter hides


class Pub(_Declaration):
    """A topic that a node publishes, with the type of its messages if only one will do.

    ``Node(pubs=Pub("imu", Imu))``; a plain string is ``Pub(name)``.
    """

    __slots__ = ()


class Sub(_Declaration):
    """A topic that a node subscribes to.

    ``depth`` unread messages are kept (default 16), then the oldest is dropped and counted.
    With ``latch`` the last message sent before the subscription began is received first.
    """

    __slots__ = ("depth", "latch")

    def __init__(
        self, topic: str, type: type[Any] | None = None, *, depth: int = 16, latch: bool = False
    ) -> None:
        super().__init__(topic, type)
        if not isinstance(depth, int) or isinstance(depth, bool) or depth < 1:
            raise ValueError(f"Sub({topic!r}): depth is {depth!r}; it must be a whole number >= 1")
        self.depth = depth
        self.latch = bool(latch)

    def _options(self) -> tuple[object, ...]:
        return (self.topic, self.type, self.depth, self.latch)


Pubs = str | Pub | Iterable[str | Pub] | None
Subs = str | Sub | Iterable[str | Sub] | None
_D = TypeVar("_D", Pub, Sub)


def declared(node: str, kind: type[_D], given: object) -> dict[str, _D]:
    """Return what ``pubs`` or ``subs`` declares by topic, in order; refuse what cannot be meant."""
    option = f"{kind.__name__.lower()}s"
    if given is None:
        given = ()
    elif isinstance(given, (str, _Declaration)):
        given = (given,)
    elif not isinstance(given, Iterable) or isinstance(given, (bytes, dict)):
        raise TypeError(
            f"node {node!r}: {option} is {given!r}; give a topic's name, a {kind.__name__}, "
            f"or a list of them"
        )
    found: dict[str, _D] = {}
    for item in given:
        declaration = kind(item) if isinstance(item, str) else item
        if not isinstance(declaration, kind):
            raise TypeError(
                f"node {node!r}: {option} holds {item!r}; each item must be a topic's name "
                f"or a {kind.__name__}"
            )
        if declaration.topic in found:
            raise ValueError(f"node {node!r}: topic {declaration.topic!r} is twice in {option}")
        found[declaration.topic] = declaration
    return found
