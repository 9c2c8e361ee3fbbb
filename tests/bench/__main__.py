"""Compare HORUS with other projects in one interleaved run: ``python -m tests.bench``."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from horus.bench import launch
from horus.bench.rows import JOBS

from . import environment, leftovers, saved
from .table import compared, text

HERE = Path(__file__).resolve().parent
OURS = "horus"
PEERS = {  # name in the table: adapter in peers/
    "horus-robotics": "robotics",
    "iceoryx2": "iceoryx",
    "pyzmq": "zeromq",
    "zenoh": "eclipse_zenoh",
}
ROUNDS, LIMIT = 3, 220.0  # s; without --rounds, no round begins that would end after it
PURE, OF_PURE = "horus, pure core", {"typed", "mapping", "one_way_typed"}
OURS_ALONE = {"memcpy", "tick_cost"}  # a yardstick, and what nobody else shows
WITH_NODES = {OURS, "horus-robotics"}
OF_NODES = {"node_typed", "node_mapping", "many", "fastest", "jitter", "jitter_best", "memory"}


def arguments():
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, help="times that all take turns (3, or what fits into 4 minutes)"
    )
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--json", metavar="PATH", type=Path, help="write all figures here")
    parser.add_argument(
        "--save", action="store_true",
        help="keep the run as results.json and results.svg, with what the pure core costs",
    )  # fmt: skip
    parser.add_argument(
        "--peers", nargs="*", choices=list(PEERS), default=list(PEERS), metavar="PEER",
        help="compare with these only, or with none: " + ", ".join(PEERS),
    )  # fmt: skip
    parser.add_argument(
        "--only", nargs="+", choices=[job.name for job in JOBS], metavar="NAME",
        help="measure only these: " + ", ".join(job.name for job in JOBS),
    )  # fmt: skip
    return parser


def measure(name, command, job, seconds):
    """Run one measurement of one project in a place of its own; leave nothing behind."""
    before = leftovers.present()
    with launch.place() as where:
        variables = where.environment()
        if name == PURE:
            variables["HORUS_CORE"] = "pure"
        elif name != OURS:
            variables.update(HOME=where.folder, HORUS_NAMESPACE=where.token)
        try:
            return launch.measure(command, job.name, seconds, where, variables)
        finally:
            leftovers.remove(where.token, before)


def run(commands, jobs, rounds, share, limit):
    """Return {row: {project: [figures of each round]}}, versions, errors, and rounds done."""
    runs, versions, errors = {}, {}, {}
    names = list(commands)
    absent = {(name, job) for name in names if name != OURS for job in OURS_ALONE}
    absent |= {(name, job) for name in names if name not in WITH_NODES for job in OF_NODES}
    absent |= {(PURE, job.name) for job in jobs if job.name not in OF_PURE}
    start, turn = time.monotonic(), 0
    while turn < rounds and (not turn or (time.monotonic() - start) / turn * (turn + 1) < limit):
        order = names[turn % len(names) :] + names[: turn % len(names)]
        for job in jobs:
            if sys.stderr.isatty():
                print(f"\rround {turn + 1} of {rounds}: {job.name:<20}", end="", file=sys.stderr)
            for name in order:
                if (name, job.name) in absent:
                    continue
                figures = measure(name, commands[name], job, job.seconds * share)
                if "error" in figures:
                    errors[f"{name}: {job.name}"] = figures["error"]
                    continue
                versions[name] = {k: v for k, v in figures.items() if k != "rows"}
                if not figures["rows"]:
                    absent.add((name, job.name))
                for key, found in figures["rows"].items():
                    runs.setdefault(key, {}).setdefault(name, []).append(found)
        turn += 1
    if sys.stderr.isatty():
        print(f"\r{'':50}\r", end="", file=sys.stderr)
    return runs, versions, errors, turn


def merged(rounds):
    """Return the medians over the rounds, and the rounds."""
    figures = {"median": statistics.median(each["median"] for each in rounds)}
    ends = [each["p99"] for each in rounds if each["p99"] is not None]
    figures["p99"] = statistics.median(ends) if ends else None
    figures["rounds"] = rounds
    return figures


def pure_costs(rows, pure):
    """Return what the pure core costs beside the native one, where both were measured."""
    costs = {}
    for key, found in pure.items():
        native = rows[key]["projects"].get(OURS)
        if native:
            costs[key] = {
                "title": rows[key]["title"],
                "unit": rows[key]["unit"],
                "native": native["median"],
                "pure": found["median"],
                "ratio": found["median"] / native["median"],
            }
    return costs


def main(argv=None):
    parser = arguments()
    options = parser.parse_args(argv)
    if options.save and (options.only or set(options.peers) != set(PEERS)):
        parser.error("--save keeps the whole comparison: leave out --only and --peers")
    commands = {OURS: launch.OWN_COMMAND}
    if options.peers:
        try:
            python = environment.ensure()
        except subprocess.CalledProcessError as error:
            print(f"the peers could not be installed ({error})", file=sys.stderr)
            return 2
        worker = str(HERE / "worker.py")
        commands.update({name: (python, "-I", worker, PEERS[name]) for name in options.peers})
    if options.save:
        commands[PURE] = launch.OWN_COMMAND
    jobs = [job for job in JOBS if not options.only or job.name in options.only]
    limit = float("inf") if options.rounds else LIMIT
    rounds, share = (1, 0.3) if options.quick else (options.rounds or ROUNDS, 1.0)
    start, about = time.monotonic(), launch.machine()
    runs, versions, errors, done = run(commands, jobs, rounds, share, limit)
    figures = {k: {name: merged(each) for name, each in found.items()} for k, found in runs.items()}
    pure = {k: found.pop(PURE) for k, found in figures.items() if PURE in found}
    rows = compared(figures)
    report = {
        "machine": {**about, "load_after": launch.machine()["load"]},
        "rounds": done,
        "seconds": round(time.monotonic() - start, 1),
        "projects": versions,
        "rows": rows,
        "errors": errors,
    }
    print(launch.machine_line(about))
    print(text(report, [name for name in commands if name != PURE]))
    if options.save:
        report["quick"] = options.quick
        report["pure_core"] = pure_costs(rows, pure)
        print(saved.pure_text(report["pure_core"]))
        saved.save(report, python)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 1 if any(what.startswith(f"{OURS}: ") for what in errors) else 0


if __name__ == "__main__":
    sys.exit(main())
