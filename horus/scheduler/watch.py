"""The topics whose messages call one node (``on=``), and whether something new is on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from horus.errors import TopicError

if TYPE_CHECKING:
    from horus.bus.waiting import Bell
    from horus.node import Node

__all__ = ["Watch"]


class Watch:
    """Looks at the subscriptions that call a node.

    A tick that reads nothing of them is not called again for what it has left, but for the next
    message that comes.
    """

    __slots__ = ("_bell", "_ends", "_left", "_node", "_warned", "held_ns", "ticked_ns")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._ends: list[Any] = []
        self._bell: Bell | None = None
        self._left: list[tuple[int, int | None]] | None = None  # by a tick that took nothing
        self._warned = False
        self.ticked_ns = 0  # when the last tick began
        self.held_ns = 0  # no message calls it before this moment

    def listen(self, bell: Bell | None) -> None:
        """Open the subscriptions; a bell is rung for what comes on them from now on."""
        self._bell = bell
        self._ends = [self._node._node_subscribers[topic] for topic in self._node._node_on]
        if bell is not None:
            for end in self._ends:
                end.share(bell)

    def arm(self) -> bool:
        """Have the bell rung for the next message; False where nobody can ring it."""
        try:
            return False not in [end.arm() for end in self._ends]
        except TopicError:  # the node has closed its topics
            self.listen(self._bell)
            return False

    def ready(self) -> bool:
        """Return whether something unread is there that a tick has not been called for."""
        for end in self._ends:
            try:
                if end.unread():
                    return self._left is None or self._left != self._state()
            except TopicError as error:
                if end._closed:  # by the node; it opens it again where it uses it
                    self.listen(self._bell)
                    return False
                self._node.log_error(error)
        return False

    def _state(self) -> list[tuple[int, int | None]]:
        return [(end.unread(), end.peek_stamp()) for end in self._ends]

    def before(self) -> list[tuple[int, int | None]]:
        """Return what is unread before a tick."""
        try:
            return self._state()
        except TopicError:
            return []

    def after(self, before: list[tuple[int, int | None]]) -> None:
        """Note whether a tick has read anything."""
        left = self.before()
        stuck = left == before and any(count for count, _ in left)
        self._left = left if stuck else None
        if stuck and not self._warned:
            self._warned = True
            names = " and ".join(repr(topic) for topic in self._node._node_on)
            self._node.log_warning(
                f"tick was called for a message on {names} and did not read it: read all there "
                "is with get_all, or the newest with get_latest (said once)"
            )

    def hold(self, until_ns: int) -> None:
        """Let no message call the node before a moment; what is unread then does."""
        self.held_ns = until_ns
        self._left = None
