"""From the samples of a soak to a verdict, and to the tables that a person reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from .judge import Trend, trend
from .machine import LOG_LIMIT

KB, MB = 1024.0, 1024.0**2
Sample = dict[str, Any]

# The most that a figure may grow between the end of the warm-up and the end, however long that is:
# the longer the run, the slower a leak it finds. 512 kB in 27 minutes are 3 bytes a tick at 100 Hz.
MEMORY = 512 * KB
SHM = 64 * KB
COUNT = 0.5  # of descriptors, threads, files: none more
TICKS = 0.5  # none too many, none too few
PHASE_NS = 1e6  # of the earliest begin in 10 s: drift of the grid is less than this


def trends(samples: Sequence[Sample]) -> dict[str, dict[str, Trend]]:
    """Return all judged trends: by process, by node, and of shared memory."""
    last = samples[-1]
    found: dict[str, dict[str, Trend]] = {}
    for name in last["processes"]:

        def of(key: str, name: str = name) -> list[tuple[float, float]]:
            return _series(samples, lambda s: s["processes"].get(name, {}).get(key))

        found[name] = {
            "rss": trend(f"{name}: resident memory", "B", of("rss"), MEMORY),
            "written": trend(f"{name}: memory written", "B", of("written"), MEMORY),
            "fds": trend(f"{name}: file descriptors", "", of("fds"), COUNT),
            "threads": trend(f"{name}: threads", "", of("threads"), COUNT),
        }
    for name in last["nodes"]:
        found[f"node {name}"] = _of_node(samples, name)
    bounds = {"shm_bytes": SHM, "shm_files": COUNT, "semaphores": COUNT}
    words = {"shm_bytes": "bytes", "shm_files": "files", "semaphores": "semaphores"}
    found["shared memory"] = {
        key: trend(
            f"shared memory: {words[key]}",
            "B" if key == "shm_bytes" else "",
            _series(samples, lambda s, key=key: s["shm"][key]),  # type: ignore[misc]
            bound,
        )
        for key, bound in bounds.items()
    }
    return found


def _of_node(samples: Sequence[Sample], name: str) -> dict[str, Trend]:
    def of(key: str) -> list[tuple[float, float]]:
        return _series(samples, lambda s: s["nodes"].get(name, {}).get(key))

    ticks, phase = of("even"), of("phase_ns")
    return {
        "ticks": trend(f"{name}: ticks on the grid", "ticks", ticks, TICKS, both_ways=True),
        "grid": trend(
            f"{name}: place of the grid", "ns", phase, PHASE_NS, both_ways=True, least=True
        ),
    }


def _series(
    samples: Sequence[Sample], value: Callable[[Sample], float | None]
) -> list[tuple[float, float]]:
    pairs = ((sample["seconds"], value(sample)) for sample in samples)
    return [(seconds, found) for seconds, found in pairs if found is not None]


def counts(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return what happened since the end of the warm-up, as numbers."""
    first, last = samples[0], samples[-1]
    devices = {
        name: {
            key: now[key] - first["devices"].get(name, now)[key]
            for key in ("samples", "faults", "errors", "refused", "late")
        }
        for name, now in last["devices"].items()
    }
    nodes = {}
    for name, now in last["nodes"].items():
        then = first["nodes"][name]
        lost = sum(now["lost"].values()) - sum(then["lost"].values())
        nodes[name] = {"lost": lost} | {k: now[k] - then[k] for k in ("ticks", "skipped", "failed")}
    sent = {topic: n - first["sent"].get(topic, 0) for topic, n in last["sent"].items()}
    return {"devices": devices, "nodes": nodes, "sent": sent}


def faults(samples: Sequence[Sample], end: dict[str, Any]) -> list[str]:
    """Return, in words, all that is not as it must be; nothing when the robot is sound."""
    return [*_faults(samples, end)]


def _faults(samples: Sequence[Sample], end: dict[str, Any]) -> Iterator[str]:
    for group in trends(samples).values():
        for each in group.values():
            if not each.flat:
                ends = each.last - each.first
                yield (
                    f"{each.name} is not flat: {_size(each.growth, each.unit)} by the fit, "
                    f"{_size(ends, each.unit)} from the first tenth to the last, "
                    f"allowed {_size(each.bound, each.unit)}"
                )
    names = [set(sample["processes"]) for sample in samples]
    for name in sorted(set.union(*names) - set.intersection(*names)):
        yield f"process {name} was not there all the time"
    done = counts(samples)
    for name, node in done["nodes"].items():
        if node["failed"]:
            yield f"{node['failed']} ticks of node {name} raised"
    if (log := samples[-1]["shm"]["log_bytes"]) > LOG_LIMIT:
        yield f"what was printed takes {_size(log, 'B')}, allowed {_size(LOG_LIMIT, 'B')}"
    if end["status"] != 0:
        yield f"Ctrl-C ended it with status {end['status']} after {end['seconds']:.1f} s"
    if end["alive"]:
        yield f"still alive after Ctrl-C: {', '.join(end['alive'])}"
    if end["left"]:
        yield f"left in shared memory: {', '.join(end['left'])}"


def notes(samples: Sequence[Sample]) -> list[str]:
    """Return what a robot on an idle machine has none of, and one without processor time may."""
    done = counts(samples)
    lost = [(name, node["lost"]) for name, node in done["nodes"].items()]
    found = [f"node {name} lost {count} messages" for name, count in lost if count]
    for name, device in done["devices"].items():
        found += [f"device {name}: {device[key]} {_WORDS[key]}" for key in _WORDS if device[key]]
    return found


_WORDS = {
    "faults": "faults",
    "errors": "failed transactions",
    "refused": "commands refused",
    "late": "commands too late to be followed",
}


def text(samples: Sequence[Sample], end: dict[str, Any]) -> str:
    """Return the tables and the verdict."""
    found, done = trends(samples), counts(samples)
    seconds = samples[-1]["seconds"] - samples[0]["seconds"]
    lines = [f"judged: {seconds:.0f} s, {len(samples)} samples", ""]
    lines.append(
        f"{'process':12} {'CPU':>7} {'RSS':>9} {'PSS':>9} {'RSS grew':>10} {'written grew':>13}"
        f" {'descriptors':>12} {'threads':>8}"
    )
    first, last = samples[0]["processes"], samples[-1]["processes"]
    for name, now in last.items():
        each = found[name]
        busy = (now["cpu"] - first.get(name, now)["cpu"]) / seconds * 100
        lines.append(
            f"{name:12} {busy:6.1f}% {now['rss'] / MB:6.1f} MB {now['pss'] / MB:6.1f} MB"
            f" {_cell(each['rss'], 10)} {_cell(each['written'], 13)}"
            f" {_ends(each['fds'], 12)} {_ends(each['threads'], 8)}"
        )
    lines += ["", f"{'node':12} {'rate':>7} {'ticks':>8} {'skipped':>8}"]
    lines[-1] += f" {'grid moved':>11} {'off by':>11} {'lost':>5}"
    for name in sorted(done["nodes"]):
        node, each = done["nodes"][name], found[f"node {name}"]
        rate = samples[-1]["nodes"][name]["rate"]
        lines.append(
            f"{name:12} {rate:4g} Hz {node['ticks']:8} {node['skipped']:8}"
            f" {_cell(each['grid'], 11)} {_ends(each['ticks'], 11)} {node['lost']:5}"
        )
    lines += [
        "",
        f"{'device':12} {'samples':>9} {'errors':>7} {'faults':>7} {'refused':>8} {'late':>5}",
    ]
    for name, device in sorted(done["devices"].items()):
        lines.append(
            f"{name:12} {device['samples']:9} {device['errors']:7} {device['faults']:7}"
            f" {device['refused']:8} {device['late']:5}"
        )
    shm = samples[-1]["shm"]
    lines += [
        "",
        f"shared memory: {shm['shm_files']} files, {shm['shm_bytes'] / KB:.0f} kB, "
        f"{shm['semaphores']} semaphores; grew "
        f"{_size(found['shared memory']['shm_bytes'].growth, 'B')}; and "
        f"{shm['log_bytes'] / KB:.0f} kB of what was printed",
        "sent: " + ", ".join(f"{n} on {topic}" for topic, n in sorted(done["sent"].items()) if n),
        f"stopped in {end['seconds']:.1f} s, status {end['status']}",
    ]
    wrong = faults(samples, end)
    bounds = (
        f"bounds: memory {_size(MEMORY, 'B')}, shared memory {_size(SHM, 'B')}, descriptors, "
        f"threads, files and ticks 0, grid {PHASE_NS / 1e6:g} ms"
    )
    said = [*(f"note: {each}" for each in notes(samples)), *(f"WRONG: {each}" for each in wrong)]
    return "\n".join(
        [*lines, bounds, *said, *([] if wrong else ["all flat: nothing grew or drifted"])]
    )


def _cell(each: Trend, width: int) -> str:
    return f"{_size(each.growth, each.unit) + ('' if each.flat else '!'):>{width}}"


def _ends(each: Trend, width: int) -> str:
    mark = "" if each.flat else "!"
    if each.unit == "ticks":
        return f"{each.last - each.first:+.1f} ticks{mark}".rjust(width)
    shown = f"{each.last:g}" if each.first == each.last else f"{each.first:g} > {each.last:g}"
    return (shown + mark).rjust(width)


def _size(value: float, unit: str) -> str:
    if unit == "B":
        return f"{value / KB:+.0f} kB"
    if unit == "ns":
        return f"{value / 1e3:+.1f} µs"
    return f"{value:+.1f} {unit}".rstrip()


def as_json(samples: Sequence[Sample], end: dict[str, Any]) -> dict[str, Any]:
    """Return verdict, trends and counts for programs."""
    return {
        "judged_seconds": samples[-1]["seconds"] - samples[0]["seconds"],
        "wrong": faults(samples, end),
        "notes": notes(samples),
        "trends": {
            name: {key: {**asdict(each), "flat": each.flat} for key, each in group.items()}
            for name, group in trends(samples).items()
        },
        **counts(samples),
        "end": end,
        "first": samples[0],
        "last": samples[-1],
    }
