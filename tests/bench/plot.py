"""Draw results.svg from results.json: ``python plot.py JSON SVG``, where matplotlib is."""

import json
import sys
from pathlib import Path

GREY = "#808890"  # readable on white and on black
COLOURS = {True: "#2da44e", False: "#e5534b", None: GREY}
NAMES = {True: "all targets met", False: "a target missed", None: "no target"}
MARKS = {True: "o", False: "D", None: "s"}


def draw(report, path):
    """Draw one line a row: our cost beside the best peer's, and the targets."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "horus", "font.size": 9})
    from matplotlib import pyplot

    rows = report["plot"]
    figure, axes = pyplot.subplots(figsize=(9, 1.4 + 0.3 * len(rows)))
    axes.set_xscale("log")
    axes.axvline(1, color=GREY, linewidth=1)
    for met in COLOURS:
        mine = [(row["cost"], at) for at, row in enumerate(rows) if row["met"] is met]
        if mine:
            axes.scatter(
                *zip(*mine, strict=True),
                s=42,
                c=COLOURS[met],
                marker=MARKS[met],
                label=NAMES[met],
                zorder=3,
            )
    for at, row in enumerate(rows):
        axes.plot([row["cost"], 1], [at, at], color=COLOURS[row["met"]], linewidth=1.5, alpha=0.6)
    aims = [(aim, at) for at, row in enumerate(rows) for aim in row["targets"]]
    if aims:
        axes.scatter(
            *zip(*aims, strict=True),
            s=130,
            c=GREY,
            marker="|",
            linewidths=2,
            label="target",
            zorder=2,
        )
    axes.set_yticks(range(len(rows)), [f"{row['title']} ({row['best_peer']})" for row in rows])
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xlabel("cost of HORUS as a multiple of the best peer's (in brackets): left is better")
    axes.grid(axis="x", color=GREY, alpha=0.25)
    axes.tick_params(colors=GREY, which="both")
    axes.xaxis.label.set_color(GREY)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, labelcolor=GREY)
    figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.argv[2])
