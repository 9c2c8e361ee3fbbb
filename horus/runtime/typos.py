"""Topics that look like another one misspelt: read by a process of the run, published by none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches

from horus.bus.leftovers import TopicEnds
from horus.node.caller import request_topic
from horus.runtime.linux import stat

#: How near (`difflib` ratio) a name must be to one that is published and not read by anybody,
#: and to any other that is published.
_NEAR, _VERY_NEAR = 0.75, 0.85


def notes(topics: Mapping[str, TopicEnds], names: Mapping[int, str]) -> list[str]:
    """Return a line on each topic that is probably misspelt; ``names`` are those of processes.

    Topics with one end only are common (a node not started, a device not attached), so nothing is
    said without a near name.
    """
    lines = []
    for topic, ends in topics.items():
        if topic.endswith(request_topic("")):  # there is no caller most of the time
            continue
        near = _nearest(topic, topics) if ends.readers and not ends.publishers else ""
        if near:
            readers = sorted({_name(pid, names) for pid in ends.readers})
            verb = "reads" if len(readers) == 1 else "read"
            lines.append(
                f" Note: nobody publishes {topic!r}, which {', '.join(readers)} {verb} "
                f"(did you mean {near!r}?)"
            )
    return lines


def _nearest(topic: str, topics: Mapping[str, TopicEnds]) -> str:
    readers = set(topics[topic].readers)
    published = {
        name: ends
        for name, ends in topics.items()
        # Who reads both knows both; and left/1 is not left/2 misspelt.
        if ends.publishers and not readers & set(ends.readers) and _letters(name) != _letters(topic)
    }
    unread = [name for name, ends in published.items() if not ends.readers]
    return _near(topic, unread, _NEAR) or _near(topic, published, _VERY_NEAR)


def _near(word: str, known: Collection[str] | Iterable[str], cutoff: float) -> str:
    return next(iter(get_close_matches(word, list(known), n=1, cutoff=cutoff)), "")


def _letters(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _name(pid: int, names: Mapping[int, str]) -> str:
    """Return the name of the run's process that a process is, or belongs to."""
    found = stat(pid)
    name = names.get(pid) or names.get(found.session if found else 0)
    return f"[{name}]" if name else f"process {pid}"
