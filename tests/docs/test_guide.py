"""Every program and every description of the guide to nodes, topics and time."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.blocks import ROOT, Page, run_python

PAGE = Page("horus/README.md")
PROGRAMS = PAGE.of("python")


def test_every_block_is_of_a_kind_that_is_tried_here() -> None:
    assert {block.kind for block in PAGE.blocks} == {"python", "yaml"}
    assert len(PROGRAMS) == 6
    assert PAGE.dead_links() == []


def test_the_topic_program_prints_what_it_says(tmp_path: Path) -> None:
    done = run_python(PROGRAMS[0], tmp_path)
    assert done.stdout == "Wheel(velocity=2.5, torque=0.0)\n"


def test_the_lent_array_is_received(tmp_path: Path) -> None:
    done = run_python(PROGRAMS[1], tmp_path)
    assert done.stdout == "(480, 640, 3) 255.0\n"


def test_the_lent_image_is_received(tmp_path: Path) -> None:
    done = run_python(PROGRAMS[2], tmp_path)
    assert done.stdout == "bgr8 640 255 2\n"


def test_the_program_with_all_kinds_of_nodes_runs(tmp_path: Path) -> None:
    done = run_python(PROGRAMS[3], tmp_path)
    assert (done.stdout + done.stderr).count("report: brightness 499.5") >= 3


def test_the_simulated_minute_prints_what_it_says(tmp_path: Path) -> None:
    code = PROGRAMS[4]
    done = run_python(code.replace("examples/rover", str(ROOT / "examples/rover")), tmp_path)
    printed = [line for line in done.stdout.splitlines() if line in ("True", "False")]
    assert printed == ["True", "True"]


def test_the_real_time_program_shows_how_it_kept_time(tmp_path: Path) -> None:
    done = run_python(PROGRAMS[5], tmp_path)
    assert done.stdout == "True\n"
    assert done.stderr.count("real time: ") == 1
    assert re.search(r"^controller +\d+", done.stderr, re.M)


def test_the_nodes_with_what_they_are_started_with_are_accepted(tmp_path: Path) -> None:
    from horus.hardware import config

    (code,) = PAGE.of("yaml")
    (tmp_path / "nodes").mkdir()
    for name in ("attitude", "camera"):
        (tmp_path / "nodes" / f"{name}.py").write_text("import horus\n")
    (tmp_path / "horus.yaml").write_text(code)
    attitude, camera = config.load(tmp_path / "horus.yaml").entries
    assert attitude.path.stem == "attitude"
    assert (camera.name, camera.launch.after) == ("left_camera", ("attitude",))
