"""Node files in horus.yaml with what they are started with, and every fault of it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from horus.errors import ConfigError
from horus.hardware.config import load
from horus.launch import Launch
from horus.runtime.build import Program
from horus.runtime.restarts import Restarts
from horus.runtime.supervisor import in_order


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "nodes").mkdir()
    for name in ("camera", "plan"):
        (tmp_path / "nodes" / f"{name}.py").touch()
    return tmp_path


def read(folder: Path, text: str):
    path = folder / "horus.yaml"
    path.write_text(dedent(text))
    return load(path)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as info:
        read(folder, text)
    return [fault.replace(f"{folder}/", "") for fault in info.value.faults]


def test_a_node_is_started_with_what_its_entry_says(folder):
    robot = read(
        folder,
        """\
        nodes:
          - run: nodes/camera.py
            name: left
            args: [--device, 0, "x y"]
            env: {EXPOSURE: 20}
            remap: {image: left/image}
            restart: on-failure
            max_restarts: 2
            restart_delay: 0.1
            after: [plan]
          - "nodes/*.py"
        """,
    )
    plan, left = robot.entries
    assert (plan.path.name, plan.launch) == ("plan.py", Launch())
    assert (left.path.name, left.name, left.line) == ("camera.py", "left", 2)
    assert left.launch == Launch(
        args=("--device", "0", "x y"),
        env={"EXPOSURE": "20"},
        remap={"image": "left/image"},
        restart="on-failure",
        max_restarts=2,
        restart_delay=0.1,
        after=("plan",),
    )
    assert [path.name for path in robot.nodes] == ["plan.py", "camera.py"]


def test_one_file_may_run_twice_under_two_names(folder):
    robot = read(
        folder,
        """\
        nodes:
          - {run: nodes/camera.py, name: left}
          - {run: nodes/camera.py, name: right}
        """,
    )
    assert [entry.name for entry in robot.entries] == ["left", "right"]
    assert len(robot.nodes) == 1


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("{}", "nodes: item 1: run: must name a node file"),
        ("{run: nodes/gone.py}", "nodes: item 1.run: no file matches 'nodes/gone.py'"),
        ('{run: "nodes/*.py"}', "nodes: item 1.run: 'nodes/*.py' stands for 2 files: name one"),
        ("{run: nodes/plan.py, arg: [1]}", "nodes: item 1.arg: unknown (did you mean args?)"),
        ("{run: nodes/plan.py, args: {a: 1}}", "nodes: item 1.args: must be a list of texts"),
        ("{run: nodes/plan.py, name: a b}", "nodes: item 1.name: must be 1 to 64 letters"),
        ("{run: nodes/plan.py, env: [1]}", "nodes: item 1.env: must be a mapping"),
        ("{run: nodes/plan.py, env: {A: yes}}", "nodes: item 1.env: A: must be a text"),
        ("{run: nodes/plan.py, env: {HORUS_SESSION_ID: a}}", "nodes: item 1.env: HORUS_SESSION_ID"),
        ("{run: nodes/plan.py, remap: {a: /b}}", "nodes: item 1.remap: "),
        ("{run: nodes/plan.py, restart: allways}", "did you mean always?"),
        ("{run: nodes/plan.py, max_restarts: -1}", "max_restarts: must be from 0 to"),
        ("{run: nodes/plan.py, max_restarts: 1.5}", "max_restarts: must be a whole number"),
        ("{run: nodes/plan.py, restart_delay: soon}", "restart_delay: must be a number"),
        ("{run: nodes/plan.py, after: [plam]}", "nodes.plan.after: no process plam"),
        ("{run: nodes/plan.py, after: [plan]}", "nodes.plan.after: it would wait for itself"),
    ],
)
def test_each_fault_of_an_entry_has_its_line(folder, entry, fault):
    found = faults(folder, f"name: robot\nnodes:\n  - {entry}\n")
    assert len(found) == 1, found
    assert found[0].startswith("horus.yaml:3: ")
    assert fault in found[0]


def test_two_nodes_cannot_have_one_name_nor_wait_for_each_other(folder):
    found = faults(
        folder,
        """\
        nodes:
          - {run: nodes/plan.py, name: a, after: [b]}
          - {run: nodes/camera.py, name: b, after: [a]}
          - {run: nodes/camera.py, name: b}
        """,
    )
    assert any("horus.yaml:4: nodes: the name b is that of the node in line 3" in f for f in found)
    assert any("horus.yaml:2: nodes.a.after: it would wait for itself" in f for f in found)


def test_a_bus_may_say_whether_its_process_is_started_again(folder):
    text = """\
        buses: {i2c1: {use: i2c, device: /dev/i2c-1, restart: on-failure}}
        hardware: {imu: {use: mpu6050, bus: i2c1}}
        """
    assert read(folder, text).buses["i2c1"].launch.restart == "on-failure"
    (fault,) = faults(folder, text.replace("on-failure", "sometimes"))
    assert "buses.i2c1.restart: must be one of never, on-failure, always" in fault


# the order of starts, and restarts


def program(name: str, **launch) -> Program:
    return Program(name, ("file", f"{name}.py"), launch=Launch(**launch))


def test_programs_start_after_those_that_they_name():
    programs = [program("a", after=("c",)), program("b"), program("c", after=("b",))]
    assert [p.name for p in in_order(programs)] == ["b", "c", "a"]


class Ended:
    """A process that has ended."""

    def __init__(self, program: Program, *, well: bool = False, ran: float = 0.0) -> None:
        self.program, self.name = program, program.name
        self.ended_well, self.started_at = well, 100.0 - ran


def test_restarts_come_later_each_time_and_end(monkeypatch):
    restarts = Restarts()
    ended = Ended(program("a", restart="on-failure", max_restarts=3, restart_delay=1.0))
    for number, delay in enumerate((1.0, 2.0, 4.0), 1):
        assert restarts.ended(ended, 100.0) == f"   Restarting [a] in {delay:g} s ({number} of 3)"
        assert restarts.next_due == 100.0 + delay
        assert restarts.take(99.0 + delay) == []
        assert [r.number for r in restarts.take(100.0 + delay)] == [number]
        assert not restarts
    assert restarts.ended(ended, 100.0) == "   Giving up [a]: it was restarted 3 times in a row"
    ended.started_at = 80.0  # it ran for 20 s: it had recovered
    assert "(1 of 3)" in restarts.ended(ended, 100.0)


@pytest.mark.parametrize(
    ("policy", "well", "again"),
    [
        ("never", False, False),
        ("on-failure", True, False),
        ("on-failure", False, True),
        ("always", True, True),
    ],
)
def test_what_is_started_again(policy, well, again):
    assert bool(Restarts().ended(Ended(program("a", restart=policy), well=well), 100.0)) is again
