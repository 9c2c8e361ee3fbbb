"""Keep a run beside this file: ``results.json``, and ``results.svg`` drawn from it."""

import datetime
import json
import subprocess
from pathlib import Path

from horus.bench.rows import readable

HERE = Path(__file__).resolve().parent


def points(rows):
    """Return what is drawn: for each row our cost as a multiple of the best peer's, and the aims.

    Where more is better the ratio is turned over, so that less is always better.
    """
    drawn = []
    for row in rows.values():
        if not row["ratio"]:
            continue
        aims = [
            each["factor"] * row["ratio"] / each["ratio"]
            for each in row["targets"]
            if each["ratio"]
        ]
        turn = row["more_is_better"]
        verdicts = [each["met"] for each in row["targets"] if each["met"] is not None]
        drawn.append(
            {
                "title": row["title"],
                "best_peer": row["best_peer"],
                "cost": 1 / row["ratio"] if turn else row["ratio"],
                "targets": [1 / aim if turn else aim for aim in aims],
                "met": all(verdicts) if verdicts else None,
            }
        )
    return drawn


def summary(rows):
    """Return how many targets were met, and the titles of the rows that missed one."""
    verdicts = [each["met"] for row in rows.values() for each in row["targets"]]
    missed = [r["title"] for r in rows.values() if any(t["met"] is False for t in r["targets"])]
    return {
        "targets_met": verdicts.count(True),
        "targets_missed": verdicts.count(False),
        "targets_open": verdicts.count(None),
        "rows_missed": missed,
    }


def save(report, python, folder=HERE):
    """Write both files; ``python`` is an interpreter that has matplotlib."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    rows = report["rows"]
    kept = {"date": now, "summary": summary(rows), **report, "plot": points(rows)}
    path = folder / "results.json"
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    drawing = [python, "-I", str(HERE / "plot.py"), str(path), str(folder / "results.svg")]
    subprocess.run(drawing, check=True)


def pure_text(costs):
    """Return what the pure core costs as lines of a table."""
    lines = ["", f"{'the pure core':47}{'native':>15}{'pure':>15}{'ratio':>9}"]
    lines += [
        f"{each['title']:47}{readable(each['native'], each['unit']):>15}"
        f"{readable(each['pure'], each['unit']):>15}{each['ratio']:>9.2f}"
        for each in costs.values()
    ]
    return "\n".join(lines)
