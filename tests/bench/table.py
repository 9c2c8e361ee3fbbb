"""From figures to ratios, and to the table that a person reads."""

from horus.bench.rows import ROWS, readable

from .targets import BEST, MEMCPY, TARGETS

OURS = "horus"


def compared(figures):
    """Return for each row its figures, our ratio to the best peer, and each target's outcome."""
    rows = {}
    for row in ROWS:
        if row.key not in figures:
            continue
        found = figures[row.key]
        peers = {name: each["median"] for name, each in found.items() if name != OURS}
        pick = max if row.more_is_better else min
        best = pick(peers, key=peers.get) if peers else None
        ours = found.get(OURS, {}).get("median")
        outcomes = []
        for target in TARGETS.get(row.key, []):
            base = 1.0
            if target.of == BEST:
                base = peers.get(best)
            elif target.of == MEMCPY:
                base = figures.get("memcpy", {}).get(OURS, {}).get("median")
            elif target.of is not None:
                base = peers.get(target.of)
            ratio = ours / base if ours is not None and base else None
            met = None
            if ratio is not None:
                met = ratio >= target.factor if row.more_is_better else ratio <= target.factor
            outcomes.append({"factor": target.factor, "of": target.of, "ratio": ratio, "met": met})
        rows[row.key] = {
            "title": row.title.strip(),
            "unit": row.unit,
            "more_is_better": row.more_is_better,
            "projects": found,
            "best_peer": best,
            "ratio": ours / peers[best] if best and ours is not None and peers[best] else None,
            "targets": outcomes,
        }
    return rows


def text(report, names):
    """Return the report as a table: medians, p99 below where there is one, ratios, targets."""
    lines = [", ".join(f"{name} {_version(each)}" for name, each in report["projects"].items())]
    lines.append(f"medians of {report['rounds']} interleaved rounds, in {report['seconds']:.0f} s")
    head = "".join(f"{name:>15}" for name in names)
    lines += ["", f"{'':47}{head}{'to best':>9}  targets"]
    titles = {row.key: row.title for row in ROWS}
    for key, row in report["rows"].items():
        cells = [row["projects"].get(name) for name in names]
        ratio = "-" if row["ratio"] is None else f"{row['ratio']:.2f}"
        medians = "".join(f"{_figure(cell, 'median', row):>15}" for cell in cells)
        outcomes = "; ".join(_outcome(each, row) for each in row["targets"])
        lines.append(f"{titles[key]:47}{medians}{ratio:>9}  {outcomes}".rstrip())
        if any(cell and cell["p99"] is not None for cell in cells):
            ends = "".join(f"{_figure(cell, 'p99', row):>15}" for cell in cells)
            lines.append(f"{'p99':>47}{ends}")
    lines += [f"not measured: {what}: {why}" for what, why in report["errors"].items()]
    return "\n".join(lines)


def _figure(cell, which, row):
    return readable(cell[which] if cell else None, row["unit"])


def _outcome(outcome, row):
    sign = "≥" if row["more_is_better"] else "≤"
    if outcome["of"] is None:
        aim = f"{sign} {readable(outcome['factor'], row['unit'])}"
        found = ""
    else:
        aim = f"{sign} {outcome['factor']:g} of {outcome['of']}"
        found = "" if outcome["ratio"] is None else f"{outcome['ratio']:.2f} "
    verdict = {True: "met", False: "missed", None: "open"}[outcome["met"]]
    return f"{found}{verdict} ({aim})"


def _version(about):
    core = about.get("core")
    return about.get("version", "?") + (f" ({core} core)" if core else "")
