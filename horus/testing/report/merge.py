"""One report made of those of several machines that tested one rig together."""

from __future__ import annotations

import xml.etree.ElementTree as Xml
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from horus.testing.report import results
from horus.testing.report.results import CheckResult, Device, Report, write_whole

_WORST = ("error", "failed", "quarantined", "passed", "skipped")
#: Exit statuses by what they hide: a part that ran hides one in which nothing did.
_ORDER = (130, 1, 3, 2, 0, 4, 5)


def status(parts: Iterable[int]) -> int:
    """Return the exit status of the whole."""
    found = set(parts)
    unknown = sorted(found.difference(_ORDER))
    return unknown[0] if unknown else next((one for one in _ORDER if one in found), 5)


def merged(parts: Sequence[Report], order: Sequence[str], status: int, seconds: float) -> Report:
    """Return the report of the whole run, which took ``seconds`` and ended with ``status``.

    ``order`` is that of the devices.
    """
    first = parts[0]
    facts: dict[str, str] = {}
    for part in parts:
        facts.update(part.rig.facts)
    said, why = results.verdict(status)
    reasons = dict.fromkeys(part.reason for part in parts if part.verdict == said and part.reason)
    return Report(
        rig=replace(first.rig, facts=facts),
        started=min(part.started for part in parts),
        seconds=seconds,
        versions=first.versions,
        verdict=said,
        reason="\n".join(reasons) or why,
        devices=sorted(_once(part.devices for part in parts), key=lambda d: order.index(d.name)),
        checks=_each(parts),
        faults=sorted((fault for part in parts for fault in part.faults), key=lambda f: f.at),
    )


def _once(lists: Iterable[list[Device]]) -> list[Device]:
    return list({device.name: device for devices in lists for device in devices}.values())


def _each(parts: Sequence[Report]) -> list[CheckResult]:
    """Return what each test found; of one that ran in several machines the worst."""
    found: dict[str, CheckResult] = {}
    for part in parts:
        for result in part.checks:
            known = found.setdefault(result.test, result)
            if _WORST.index(result.status) < _WORST.index(known.status):
                found[result.test] = result
    return list(found.values())


def junit(parts: Mapping[str, Path], to: Path) -> None:
    """Write one junit.xml with the test suites of several; one that is not whole is an error."""
    whole = Xml.Element("testsuites", name="pytest tests")
    for name, path in parts.items():
        try:
            suites = list(Xml.parse(path).getroot().iter("testsuite"))
        except (OSError, Xml.ParseError) as error:
            lost = Xml.Element("testsuite", name="pytest", tests="1", errors="1")
            case = Xml.SubElement(lost, "testcase", name=f"machine {name}")
            text = f"what it found is not known: {error}"
            Xml.SubElement(case, "error", message=text)
            suites = [lost]
        for suite in suites:
            suite.set("name", f"{suite.get('name', 'pytest')} {name}")
            whole.append(suite)
    text = Xml.tostring(whole, encoding="unicode")
    write_whole(to, f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')
