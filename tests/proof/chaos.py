"""Kill publishers and readers of both cores at random moments; what is left must be whole."""

from __future__ import annotations

import os
import random
import signal
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from horus.bus import files, leftovers, rings, session
from horus.bus import layout as L
from tests.proof.crew import ALONE, DEPTH, TOPIC
from tests.proof.crews import CORES, Crew, crews

ALIVE = 5  # victims at a time
ROLES = ("publish", "publish", "read", "look")


@dataclass
class Report:
    """What came of it."""

    kills: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("publish", "read", "look"), 0)
    )
    sent: int = 0
    frames: int = 0
    pinned: int = 0
    received: int = 0
    dropped: int = 0
    torn: int = 0
    disordered: int = 0
    miscounted: int = 0
    longest_lock: float = 0.0
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return it as one line."""
        kills = f"{sum(self.kills.values())} kills ({self.kills['publish']} publishers, "
        return (
            f"{kills}{self.kills['read']} readers, {self.kills['look']} that held frames), "
            f"{self.sent} messages sent, {self.received} received, {self.frames} of them frames, + "
            f"{self.dropped} lost by the witnesses: torn {self.torn}, "
            f"wrongly ordered {self.disordered}, miscounted {self.miscounted}, pins of the dead "
            f"{self.pinned}, which kept no camera from sending, longest wait for "
            f"the lock {1e3 * self.longest_lock:.0f} ms, faults {len(self.faults)}"
        )

    def good(self) -> bool:
        """Return whether nothing was wrong."""
        return not (self.torn or self.disordered or self.miscounted or self.faults)


def published_by(pid: int, folder: Path) -> int:
    """Return how many messages the ring of a process that has just died holds or has held."""
    count = 0
    for ring in rings.ring_files(folder):
        try:
            memory = files.map_file(ring.path, writable=False)
        except FileNotFoundError:
            continue  # of another one, who lives and has just replaced it
        if struct.unpack_from("<Q", memory, L.RING_PID)[0] == pid:
            count += struct.unpack_from("<Q", memory, L.RING_NEXT)[0]
        memory.close()
    return count


def chaos(kills: int, seed: int = 1, told: Callable[[str], object] = lambda _: None) -> Report:
    """Kill so many; $HORUS_SHM_DIR must be a folder of our own, and is empty afterwards."""
    dice, report = random.Random(seed), Report()
    pids: list[int] = []
    with crews() as started:
        witnesses = [Crew(core, "witness") for core in CORES]
        herds = [Crew(core, "herd") for core in CORES]
        cameras = [Crew(core, "camera", number) for number, core in enumerate(CORES)]
        started += witnesses + herds + cameras
        for crew in started:
            crew.hear()
        folder = session.topics_dir() / TOPIC
        victims: list[tuple[Crew, str, int, float]] = []
        begun = 0
        while begun < kills or victims:
            while begun < kills and len(victims) < ALIVE:
                herd, role = dice.choice(herds), dice.choice(ROLES)
                pid = herd.ask(f"{role} {seed * 1_000_000 + begun}")["pid"]
                # Some die while they open or first send, some after thousands of messages.
                life = dice.choice((0.002, 0.01, 0.05)) * dice.random()
                victims.append((herd, role, pid, time.monotonic() + life))
                begun += 1
            herd, role, pid, moment = victims.pop(dice.randrange(len(victims)))
            time.sleep(max(0.0, moment - time.monotonic()))
            os.kill(pid, signal.SIGKILL)
            status = herd.ask(f"reap {pid}")["status"]
            if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
                report.faults.append(f"{herd.role}: a {role} process ended with {status}")
            report.kills[role] += 1
            pids.append(pid)
            if role == "publish":
                report.sent += published_by(pid, folder)
            before = time.monotonic()
            with session.structure_lock(session.topics_dir()):
                report.longest_lock = max(report.longest_lock, time.monotonic() - before)
            if sum(report.kills.values()) % 100 == 0:
                told(f"{sum(report.kills.values())} killed")
        for camera in cameras:
            seen = camera.ask("end")
            report.pinned += seen["pinned"]
            if seen["alone"] != ALONE or not seen["sent"]:
                report.faults.append(f"{camera.role}: with its readers dead it sent: {seen}")
        for witness in witnesses:
            seen = witness.ask("count")
            report.received += seen["received"]
            report.frames += seen["frames"]
            report.dropped += seen["dropped"]
            report.torn += seen["torn"]
            report.disordered += seen["disordered"]
            if seen["received"] + seen["dropped"] != report.sent:
                report.miscounted += 1
                report.faults.append(
                    f"{witness.role}: {seen['received']} received + {seen['dropped']} lost are not "
                    f"the {report.sent} sent"
                )
            if not seen["received"] > DEPTH:
                report.faults.append(f"{witness.role} received next to nothing: proves nothing")
    leftovers.clean()
    left = [str(path) for path in session.root().glob("*")]
    left += [
        n for n in os.listdir("/dev/shm") if any(n.startswith(f"sem.horus.{p}.") for p in pids)
    ]
    report.faults += [f"left behind: {name}" for name in left]
    return report
