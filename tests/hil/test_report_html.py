"""The page: complete, whole HTML, without script or network, and clear about what is wrong."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from horus.testing.report import diff, html, markup, text, words
from horus.testing.report.bar import bar, scale
from horus.testing.report.grid import STATES, tables
from horus.testing.report.results import CheckResult, Figure, Kind, Report, Verdict
from tests.hil.made_reports import TITLES, cell, failing_report, full_report


class Page(HTMLParser):
    """A page taken apart; it fails on an element that is not closed in its turn."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = {name: value or "" for name, value in attrs}
        self.elements.append((tag, about))
        if tag not in self.VOID:
            self._open.append((tag, about.get("id", "")))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, name in self._open:
            self.texts[name] = self.texts.get(name, "") + data

    @property
    def text(self) -> str:
        """All that is shown and said, and the style."""
        return self.texts[""]

    def cells(self) -> dict[str, tuple[str, str]]:
        """Return the state and the spoken words of each cell, by the beginning of these."""
        return {
            about["aria-label"].split(":")[0]: (about["class"].split()[1], about["aria-label"])
            for _, about in self.elements
            if about.get("class", "").startswith("cell ")
        }


def page(report: Report, baseline: Report | None = None) -> Page:
    """Render a report and take the page apart."""
    comparison = None if baseline is None else diff.compare(baseline, report)
    return Page(html.render(report, comparison))


@pytest.mark.parametrize("report", [full_report(), failing_report()])
def test_the_page_needs_no_script_and_no_network(report: Report) -> None:
    found = page(report, full_report())
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in found.elements}
    for tag, about in found.elements:
        assert not [name for name in about if name.startswith("on") or name == "src"], tag
        assert about.get("href", "#").startswith("#")
    assert "url(" not in found.text
    assert "@import" not in found.text
    policy = [about for _, about in found.elements if "http-equiv" in about]
    assert policy[0]["content"].startswith("default-src 'none'")


@pytest.mark.parametrize("report", [full_report(), failing_report()])
def test_every_link_leads_somewhere_and_ids_are_unique(report: Report) -> None:
    found = page(report, full_report())
    ids = [about["id"] for _, about in found.elements if "id" in about]
    assert len(ids) == len(set(ids))
    links = {about["href"][1:] for _, about in found.elements if "href" in about}
    assert links <= set(ids)


def test_every_device_has_a_cell_for_every_check() -> None:
    report = full_report()
    cells = page(report).cells()
    assert len(cells) == 26 * 15
    for device in report.devices:
        for check, title in TITLES.items():
            assert f"{device.name}, {check} {title}" in cells


def test_the_cells_say_what_was_found() -> None:
    cells = page(failing_report()).cells()
    assert cells["mpu6050_1, C4 rate held"] == ("failed", "mpu6050_1, C4 rate held: failed")
    states = {
        "vesc_1, C14 leaks": "error",
        "odrive_1, C13 latency": "warned",
        "rplidar_1, C8 reconnect": "quarantined",
        "nmea_gnss_1, C6 stamps": "missing",
        "mpu6050_1, C12 commands refused": "skipped",
        "jumper, W1 frames there and back": "failed",
        "rig, R1 lock is given back": "passed",
    }
    assert {name: cells[name][0] for name in states} == states


def test_symbols_tell_the_states_apart_without_colour() -> None:
    assert len({state.symbol for state in STATES.values()}) == len(STATES)


def test_a_check_that_passed_in_part_is_no_plain_pass() -> None:
    report = full_report()
    again = CheckResult("C10", "bus errors", "imu", "t.py::test_flips", "skipped", "no wire")
    again.device = report.devices[0].name
    report.checks.append(again)
    assert page(report).cells()[f"{again.device}, C10 bus errors"][0] == "partly"
    again.status = "failed"
    assert page(report).cells()[f"{again.device}, C10 bus errors"][0] == "failed"


def test_what_does_not_apply_is_no_lack() -> None:
    report = full_report()
    again = cell(full_report(), "bno055_1", "C10")
    again.test, again.status, again.reason, again.applies = "other", "skipped", "no moving", False
    report.checks.append(again)
    exempt = cell(report, "bno055_1", "C12")
    exempt.applies = False
    cells = page(report).cells()
    assert cells["bno055_1, C10 bus errors"][0] == "passed"
    assert cells["bno055_1, C12 commands refused"][0] == "exempt"
    text = page(report).texts["skips"]
    assert "Skipped: 25 tests, and why" in text
    assert "Does not apply: 2 tests, and why" in text
    assert words.verdict(report) == "All 364 checks passed; 25 skipped"
    again.applies = True
    assert words.verdict(report) == "All 364 checks passed, 1 of them in part; 25 skipped"


def test_what_failed_is_told_at_the_top_with_device_figure_and_limit() -> None:
    found = page(failing_report())
    failing = found.texts["failing"]
    assert "mpu6050_1 – mpu6050 at i2c0:0x20 – 1 of 14 checks failed" in failing
    assert "jitter p99 3.21 ms, allowed at most 2 ms: 1.21 ms too much" in failing
    assert "rig limits: jitter" not in failing  # which would only say it again
    assert "the last value was published as fresh 0.4 s after the bus fell silent" in failing
    assert "No such device: can_a" in failing
    assert "icm20948_1" not in failing
    assert "4 of 365 checks failed, on mpu6050_1, vesc_1 and jumper" in found.text
    order = [about["id"] for _, about in found.elements if "id" in about]
    assert order.index("failing") < order.index("grid") < order.index("rows")


def test_tests_that_fail_in_the_same_way_are_told_once() -> None:
    report = full_report()
    report.verdict = "failed"
    for given in ("NaN", "inf", "far"):
        result = cell(full_report(), "vesc_1", "C12")
        result.test = f"t.py::test_a_wrong_one_is_refused[vesc_1[vesc@can_a:22]-{given}]"
        result.status, result.reason = "failed", "it moved"
        report.checks.append(result)
    failing = page(report).texts["failing"]
    assert failing.count("it moved") == 1
    assert "a wrong one is refused (NaN), and 2 tests more:" in failing
    assert words.asked(report.checks[0]) == "it"
    assert diff.summary(diff.compare(full_report(), report)) == "1 broke"


def test_a_device_that_fails_everything_does_not_bury_the_others() -> None:
    report = full_report()
    report.verdict = "failed"
    for check in TITLES:
        result = cell(report, "bno055_1", check)
        result.status, result.reason = "failed", f"{check} found nobody there"
    found = page(report)
    assert "and 9 more" in found.texts["failing"]
    assert "C15 found nobody there" in found.texts["failing"]
    opened = [about["id"] for tag, about in found.elements if tag == "details" and "open" in about]
    assert opened == ["devices.bno055_1"]


def test_what_failures_have_in_common_is_said() -> None:
    report = full_report()
    report.verdict = "failed"
    for device in report.devices:
        if device.bus == "can_a":
            cell(report, device.name, "C9").status = "failed"
    notes = words.notes(report)
    assert notes == ["All that fail are on bus can_a: look at its adapter and wiring"]
    for device in report.devices[::2]:
        cell(report, device.name, "C9").status = "failed"
    assert words.notes(report)[0].startswith("C9 (stale data) fails for 18 of the 26 it ran for")


def test_a_fault_that_was_not_undone_is_told_at_the_top() -> None:
    found = page(failing_report())
    assert "The fault unplug of lsm6ds_1 was not undone" in found.text
    assert "NOT UNDONE" in found.texts["faults"]
    assert "26 × unplug; 1 NOT undone" in found.texts["faults"]
    assert "26 × unplug; all undone" in page(full_report()).texts["faults"]
    assert "NOT UNDONE" not in page(full_report()).texts["faults"]


def test_skips_are_grouped_by_their_reason() -> None:
    report = full_report()
    text = page(report).texts["skips"]
    assert "Skipped: 26 tests, and why" in text
    assert text.count("it takes no commands") == 1
    cell(report, "as5600_1", "C12").reason = "as5600_1: it takes no commands"
    cell(report, "ld06_1", "C12").reason = "ld06_1 takes no commands"
    assert [len(found) for _, found in words.skips(report)] == [17, 9]
    assert text.count("connect two adapters") == 1
    assert "C12: ads1115_1, as5600_1, bme280_1" in text


def test_checks_that_were_skipped_for_the_same_devices_are_told_together() -> None:
    report = full_report()
    for check in ("C10", "C9", "C12"):
        for device in ("tfmini_1", "ld06_1"):
            one = cell(report, device, check)
            one.status, one.reason = "skipped", "the lid is open"
    text = page(report).texts["skips"]
    assert "the lid is openC9, C10, C12: ld06_1, tfmini_1" in text


def test_what_wires_are_asked_is_a_list_for_each_of_them() -> None:
    report = full_report()
    for wire, asked in (("pair", "none is lost"), ("jumper", "every byte comes back")):
        report.checks.append(CheckResult(asked, "", wire, "w.py::test_it", "passed"))
    wires = tables(report)[1]
    assert [[c.check for c in row.cells] for row in wires.rows] == [
        ["none is lost"],
        ["every byte comes back"],
    ]
    assert "Wirespair✓none is lostjumper✓every byte comes back" in page(report).texts["grid"]


@pytest.mark.parametrize(
    ("kind", "proves", "cannot"),
    [
        ("mock", "the simulated twin", "that the device is like its twin"),
        ("virtual", "real kernel interfaces", "many times slower"),
        ("real", "these devices on this machine", "other specimens"),
    ],
)
def test_the_kind_of_rig_says_what_it_cannot_prove(kind: Kind, proves: str, cannot: str) -> None:
    text = page(full_report(kind)).text
    before, after = text.split("It cannot prove", 1)
    assert proves in before
    assert cannot in after.split("Devices")[0]


def test_machine_and_identities_are_there() -> None:
    text = page(full_report()).texts["machine"]
    for part in ("Linux 6.1.0-18-amd64", "python-can 4.4.2", "SN4712", "mock.yaml", "native core"):
        assert part in text


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("not ready", "The rig was not ready; nothing was checked"),
        ("hazard refused", "A hazard was not allowed; nothing was checked"),
        ("nothing ran", "Nothing ran. That is not a pass"),
        ("failed", "The run failed, though no check did"),
    ],
)
def test_a_run_without_checks_says_why(verdict: Verdict, said: str) -> None:
    report = full_report()
    report.checks, report.verdict, report.reason = [], verdict, "can_a: no such adapter"
    found = page(report)
    assert said in found.text
    assert "can_a: no such adapter" in found.text
    assert "SN4712" in found.text


def test_a_run_in_which_all_was_skipped_is_no_pass() -> None:
    report = full_report()
    report.verdict = "nothing ran"
    for result in report.checks:
        result.status, result.reason = "skipped", "no wire"
    assert words.verdict(report) == "Nothing ran: 390 checks skipped. That is not a pass"


def test_quarantined_checks_are_not_counted_as_passed() -> None:
    report = full_report()
    cell(report, "mpu6050_1", "C1").status = "quarantined"
    assert words.verdict(report) == "All 363 checks passed; 1 in quarantine, 26 skipped"


def test_texts_from_devices_are_texts_and_no_html() -> None:
    report = failing_report()
    evil = '<script>alert("1")</script>\x1b[31mred\x1b[0m\x00\udc80&amp;"\''
    result = cell(report, "mpu6050_1", "C4")
    result.reason = result.detail = result.test = evil
    report.devices[1].identity = report.rig.name = report.rig.facts[evil] = evil
    report.devices[2].use = 'x" onload="y'
    found = page(report)
    assert "script" not in {tag for tag, _ in found.elements}
    assert not [about for _, about in found.elements if "onload" in about]
    assert '<script>alert("1")</script>red&amp;"\'' in found.text
    found.text.encode()


def test_markup_escapes_what_is_not_markup() -> None:
    inner = markup.tag("b", "1 < 2")
    assert markup.tag("p", inner, "&", title='"', hidden=True, open=False) == (
        '<p title="&quot;" hidden><b>1 &lt; 2</b>&amp;</p>'
    )


def test_what_changed_since_the_baseline_is_told_and_marked() -> None:
    old = full_report()
    cell(old, "as5600_1", "C7").status = "failed"
    found = page(failing_report(), old)
    text = found.texts["changes"]
    for title in ("Broke: fails now and did not before (4)", "Fixed (1)", "No longer proven (2)"):
        assert title in text
    cells = found.cells()
    assert cells["mpu6050_1, C4 rate held"][1].endswith("broke since the baseline")
    assert cells["as5600_1, C7 unplug"][1].endswith("fixed since the baseline")
    assert "changes" not in page(failing_report()).texts


@pytest.mark.parametrize(
    ("figure", "allowed", "at"),
    [
        (Figure("a", 1.0, high=2.0), (0.0, 0.8), 0.4),
        (Figure("a", 4.0, high=2.0), (0.0, 0.8), 1.6),
        (Figure("a", 100.0, low=90.0, high=110.0), (0.2, 0.8), 0.5),
        (Figure("a", 90.0, low=90.0, high=110.0), (0.2, 0.8), 0.2),
        (Figure("a", 15.0, low=10.0), (0.2, 1.0), 0.6),
        (Figure("a", 5.0, low=10.0), (0.2, 1.0), -0.2),
        (Figure("a", 0.0, high=0.0), (0.0, 0.8), 0.8),
        (Figure("a", math.nan, high=1.0), (0.0, 0.8), None),
    ],
)
def test_a_bar_is_true_to_its_figure(
    figure: Figure, allowed: tuple[float, float], at: float | None
) -> None:
    shown, where = scale(figure)
    assert shown == pytest.approx(allowed)
    assert where == (None if at is None else pytest.approx(at))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, 1e300, -1e300, 5e-324])
@pytest.mark.parametrize("low", [None, -math.inf, -1.0, 0.0, 2.0])
@pytest.mark.parametrize("high", [None, math.inf, 0.0, 2.0])
def test_every_figure_has_a_drawing_without_strange_numbers(
    value: float, low: float | None, high: float | None
) -> None:
    drawn = re.sub(r'aria-label="[^"]*"', "", bar(Figure("a", value, "s", low, high)))
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert words.figure(Figure("a", value, "s", low, high))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0"),
        (12_000.0, "12,000"),
        (-3.0, "−3"),
        (99.7, "99.7"),
        (0.412, "0.412"),
        (1.93456, "1.935"),
        (0.000123456, "0.0001235"),
        (1234.56, "1,235"),
        (1230.0, "1,230"),
        (100.04, "100"),
        (1e15, "1,000,000,000,000,000"),
        (3e-9, "3e−09"),
        (9999.7, "10,000"),
        (math.nan, "not a number"),
        (-math.inf, "−infinite"),
    ],
)
def test_numbers_are_short(value: float, said: str) -> None:
    assert words.number(value) == said


@pytest.mark.parametrize(
    ("figure", "said"),
    [
        (Figure("lost", 2.0, high=0.0), "lost 2, allowed at most 0: 2 too much"),
        (
            Figure("rate", 87.0, "Hz", low=95.0),
            "rate 87 Hz, allowed at least 95 Hz: 8 Hz too little",
        ),
        (Figure("g", 9.8, "m/s²", 9.7, 9.9), "g 9.8 m/s², allowed 9.7 to 9.9 m/s²"),
        (Figure("fds", 1.0, "", 0.0, 0.0), "fds 1, allowed exactly 0: 1 too much"),
        (
            Figure("age_p99_ms", math.nan, "ms", high=1.0),
            "age p99 not a number, allowed at most 1 ms",
        ),
    ],
)
def test_a_figure_is_told_in_one_line(figure: Figure, said: str) -> None:
    assert words.figure(figure) == said


@pytest.mark.parametrize(
    ("name", "unit", "said"),
    [
        ("jitter_p99_ms", "ms", "jitter p99"),
        ("rate_hz", "Hz", "rate"),
        ("tick_us", "µs of CPU", "tick"),
        ("kept_percent", "%", "kept"),
        ("left_bytes", "bytes a life", "left"),
        ("acceleration_up_m_s2", "m/s²", "acceleration up"),
        ("rotation_rad_s", "rad/s", "rotation"),
        ("items", "ms", "items"),
        ("samples", "samples", "samples"),
        ("kept at 1 % nak", "%", "kept at 1 % nak"),
    ],
)
def test_a_name_does_not_repeat_its_unit(name: str, unit: str, said: str) -> None:
    assert words.name(Figure(name, 1.0, unit)) == said


def with_a_test_of_ones_own() -> Report:
    report = full_report()
    report.checks.append(CheckResult("wakes soon", "", "odrive_1", "t::test_wakes_soon", "passed"))
    return report


def test_a_test_of_ones_own_leaves_the_table_of_the_checks_as_it_is() -> None:
    shown = page(with_a_test_of_ones_own())
    assert next(about for tag, about in shown.elements if tag == "table")["class"] == "grid many"
    cells = shown.cells()
    assert len(cells) == 26 * 15 + 1
    assert cells["odrive_1, wakes soon"][0] == "passed"


def test_a_test_of_ones_own_is_a_line_below_the_table_at_the_terminal() -> None:
    lines = text.text(with_a_test_of_ones_own()).splitlines()
    head = next(line for line in lines if line.startswith("Devices"))
    assert head.split()[1:] == list(TITLES)
    assert "  ✓ odrive_1: wakes soon" in lines


def test_why_a_check_does_not_apply_is_said_once_for_all_its_tests() -> None:
    report = full_report()
    why = "it has nothing to command"
    for number in range(11):
        test = f"t::test_{number}"
        made = CheckResult("C12", TITLES["C12"], "nmea_gnss_1", test, "skipped", why)
        made.applies = False
        report.checks.append(made)
    others = [r for r in report.checks if (r.device, r.check) == ("nmea_gnss_1", "C12")][:-11]
    report.checks = [result for result in report.checks if result not in others]
    # Once for the device, once in the list of reasons.
    assert html.render(report, None).count(why) == 2


def test_checks_are_in_the_order_of_their_numbers() -> None:
    report = full_report()
    report.checks.reverse()
    assert [check for check, _ in tables(report)[0].checks] == list(TITLES)


def test_the_page_is_written_beside_the_report(tmp_path: Path) -> None:
    path = html.write(full_report(), tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
