"""Types that describe themselves: what a tool learns of a class that it has not imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest

from horus.bus import Publisher, Subscriber, schemas, session
from horus.errors import MessageTypeError
from horus.message import (
    EMPTY,
    Array,
    Float32Array,
    Str,
    UInt8,
    VarArray,
    declaring,
    message,
    spec_of,
)
from horus.message.docs import FieldDoc, field_docs
from horus.message.schema import Schema, SchemaError, schema_of
from horus.msgs import Imu, LaserScan


@message
class Gripper:
    width: float = 0.0  # m
    force: float = 0.0
    """N: at the fingers."""
    name: Annotated[str, Str(16)] = ""
    mode: UInt8 = 0
    """No unit: 0 is open."""
    axis: tuple[float, float, float] = (0.0, 0.0, 1.0)
    inertia: Annotated[tuple[float, ...], Array("f4", 9)] = (0.0,) * 9
    ticks: Annotated[Float32Array, VarArray("f4", 8)] = EMPTY


#: A program that declares a type of its own and sends one message of it.
PUBLISHER = """
import sys
from horus.bus import Publisher
from horus.message import message

@message
class Claw:
    grip: float = 0.0  # N
    open: bool = False

end = Publisher("claw", Claw if sys.argv[1] == "declared" else None)
end.send(Claw(2.5, True))
print("sent", flush=True)
sys.stdin.read()
"""


def test_a_description_says_what_the_source_says():
    docs = field_docs(Gripper)
    assert docs["width"] == FieldDoc("m", "")
    assert docs["force"] == FieldDoc("N", "at the fingers.")
    assert docs["mode"] == FieldDoc("", "0 is open.")
    assert field_docs(Imu)["stamp"].unit == "s"


@pytest.mark.parametrize("cls", [Gripper, Imu, LaserScan])
def test_a_type_survives_its_description(cls):
    spec = spec_of(cls)
    schema = schema_of(spec)
    again = Schema.from_json(schema.to_json())
    assert again == schema
    assert (again.hash, again.size) == (spec.hash, spec.size)


def test_a_class_made_of_a_description_reads_and_writes_the_same_bytes(monkeypatch):
    spec = spec_of(Gripper)
    monkeypatch.delitem(declaring._specs, spec.hash)
    made = Schema.from_json(schema_of(spec).to_json()).make_class()
    assert made is not Gripper and spec_of(made).hash == spec.hash
    sent = Gripper(0.1, 3.0, "left", 2, (1.0, 0.0, 0.0), (0.5,) * 9, [1.0, 2.0])
    payload = bytearray(spec.size)
    spec.pack_into(payload, 0, sent)
    got = spec_of(made).unpack_from(payload, 0)
    assert schemas.as_dict(got).keys() == schemas.as_dict(sent).keys()
    assert (got.name, got.axis, got.ticks.tolist()) == ("left", (1.0, 0.0, 0.0), [1.0, 2.0])
    copy = bytearray(spec.size)
    spec_of(made).pack_into(copy, 0, got)
    assert copy == payload
    assert made().inertia == (0.0,) * 9


def test_what_is_no_description_is_refused():
    good = json.loads(schema_of(spec_of(Gripper)).to_json())

    def changed(**more: object) -> str:
        return json.dumps(good | more)

    def renamed(name: object) -> str:
        fields = [dict(good["fields"][0], name=name), *good["fields"][1:]]
        return changed(fields=fields)

    for text in (
        "",
        "[]",
        "{}",
        "[" * 100_000,
        changed(horus_schema=2),
        changed(name="Other"),
        changed(size=8),
        changed(hash="0" * 16),
        changed(fields=[]),
        changed(fields=[*good["fields"], good["fields"][0]]),
        changed(fields=good["fields"][:-1]),
        changed(fields=5),
        renamed("a=__import__('os')"),
        renamed("__class__"),
        renamed("import"),
        renamed(3),
        changed(fields=[dict(good["fields"][0], count=10**12)]),
        changed(fields=[dict(good["fields"][0], kind=[])]),
        changed(fields=[dict(good["fields"][0], code="O")]),
    ):
        with pytest.raises(SchemaError):
            Schema.from_json(text)


@pytest.mark.parametrize("how", ["declared", "undeclared"])
def test_a_tool_shows_messages_of_a_class_that_only_their_sender_has(how, monkeypatch):
    known = dict(declaring._specs)
    monkeypatch.setattr(declaring, "_specs", known)
    with subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as publisher:
        try:
            assert publisher.stdout.readline() == b"sent\n"
            plain = Subscriber("claw", latch=True)
            with pytest.raises(MessageTypeError, match="import the module that declares it"):
                plain.recv()
            (hash,) = schemas.schemas_in(session.topics_dir() / "claw")
            assert schemas.learn(session.topics_dir() / "claw", hash).name == "Claw"
            got = Subscriber("claw", latch=True).recv()
            assert schemas.as_dict(got) == {"grip": 2.5, "open": True}
            assert repr(got) == "Claw(grip=2.5, open=True)"
        finally:
            publisher.stdin.close()
            publisher.wait()


def test_a_reader_describes_what_it_waits_for():
    subscriber = Subscriber("gripper", Gripper)
    folder = session.topics_dir() / "gripper"
    assert schemas.schema_for(folder, spec_of(Gripper).hash).docs["width"].unit == "m"
    subscriber.close()
    assert not folder.exists()


def test_a_damaged_description_is_not_believed(shm: Path):
    publisher = Publisher("gripper", Gripper)
    folder = session.topics_dir() / "gripper"
    path = schemas.schema_path(folder, spec_of(Gripper).hash)
    other = schemas.schema_path(folder, 77)
    other.write_bytes(path.read_bytes())
    with pytest.raises(SchemaError, match="another type"):
        schemas.schema_for(folder, 77)
    path.write_text("{}")
    with pytest.raises(SchemaError):
        schemas.schema_for(folder, spec_of(Gripper).hash)
    assert schemas.learn(folder, 77) is None
    publisher.send(Gripper(width=1.0))


def test_nothing_about_a_description_keeps_a_message_back(monkeypatch):
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Schema, "to_json", full)
    subscriber = Subscriber("gripper")
    Publisher("gripper", None).send(Gripper(width=1.0))
    assert subscriber.recv().width == 1.0
    assert list(schemas.schemas_in(session.topics_dir() / "gripper")) == []
