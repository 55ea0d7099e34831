"""Trackers' stores and our own records, written byte by byte as their programs write them."""

import json
import sqlite3
import struct
from pathlib import Path

from cairn.retro.facts import Document
from cairn.retro.ingest.read import read_source
from retro.evidence_files import project
from retro.golden import retro


def varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data, number = data + bytes([number & 127 | 128]), number >> 7
    return data + bytes([number])


def field(number: int, value: bytes | int | float) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def read(path: Path, root: Path) -> Document:
    return read_source(path, path.relative_to(root).as_posix(), "tracker")


def rows(document: Document) -> list[tuple[str, str, float | None, float | None]]:
    return [(fact.run, fact.name, fact.value, fact.step) for fact in document.facts]


def test_tensorboard_and_its_torn_end(tmp_path: Path) -> None:
    def event(step: int, value: float) -> bytes:
        data = field(2, step) + field(5, field(1, field(1, b"loss") + field(2, value)))
        return struct.pack("<Q", len(data)) + b"crc." + data + b"crc."

    path = tmp_path / "run-a" / "events.out.tfevents.1"
    path.parent.mkdir()
    path.write_bytes(event(10, 2.5) + event(20, 2.25) + event(30, 2.0)[:-7])
    document = read(path, tmp_path)
    assert rows(document) == [("run-a", "loss", 2.5, 10.0), ("run-a", "loss", 2.25, 20.0)]
    assert document.facts[1].line is None
    assert "2" in document.facts[1].place


def test_an_offline_run_of_wandb(tmp_path: Path) -> None:
    def item(key: str, value: object) -> bytes:
        return field(1, field(1, key.encode()) + field(16, json.dumps(value).encode()))

    records = [
        field(17, field(1, b"abc123") + field(8, b"glad-hill-1")),
        field(5, item("lr", {"value": 0.001})),
        field(2, item("_step", 7) + item("loss", 1.5)),
        field(3, item("accuracy", 0.75)),
    ]
    framed = b"".join(b"crc." + struct.pack("<HB", len(each), 1) + each for each in records)
    path = tmp_path / "run-abc123.wandb"
    path.write_bytes(b":W&B\x01\x02\x00" + framed)
    found = rows(read(path, tmp_path))
    assert ("glad-hill-1", "loss", 1.5, 7.0) in found
    assert ("glad-hill-1", "accuracy", 0.75, None) in found
    assert any(name.startswith("lr") and value == 0.001 for _, name, value, _ in found)


def test_mlflow_as_database_and_as_files(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as database:
        database.execute("create table runs (run_uuid text, name text)")
        database.execute("create table params (key text, value text, run_uuid text)")
        database.execute(
            "create table metrics (key text, value real, run_uuid text, step integer, is_nan integer)"
        )
        database.execute("insert into runs values ('u1', 'first')")
        database.execute("insert into params values ('lr', '0.001', 'u1')")
        database.execute("insert into metrics values ('loss', 1.5, 'u1', 3, 0), ('loss', 0, 'u1', 4, 1)")
    database.close()
    assert rows(read(path, tmp_path)) == [("first", "lr", 0.001, None), ("first", "loss", 1.5, 3.0)]

    run = tmp_path / "mlruns/0/u2"
    for name, text in {"meta.yaml": "run_name: second\n", "metrics/loss": "1 1.25 5\n2 1.0 6\n"}.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(text)
    document = read(run / "metrics/loss", tmp_path)
    assert rows(document) == [("second", "loss", 1.25, 5.0), ("second", "loss", 1.0, 6.0)]
    assert [fact.line for fact in document.facts] == [1, 2]


def test_trackio_and_a_database_of_somebody_else(tmp_path: Path) -> None:
    path = tmp_path / "trackio.db"
    with sqlite3.connect(path) as database:
        database.execute("create table configs (run_name text, config text)")
        database.execute("create table metrics (id integer, run_name text, step integer, metrics text)")
        database.execute("insert into configs values ('r', '{\"lr\": 0.01}')")
        database.execute("insert into metrics values (1, 'r', 2, '{\"loss\": 3.5}')")
    database.close()
    assert rows(read(path, tmp_path)) == [("r", "lr", 0.01, None), ("r", "loss", 3.5, 2.0)]
    other = tmp_path / "app.db"
    with sqlite3.connect(other) as database:
        database.execute("create table users (password text)")
    database.close()
    assert (read(other, tmp_path).facts, len(read(other, tmp_path).warnings)) == ([], 1)


def test_a_ledger_of_a_climb(tmp_path: Path) -> None:
    events = [
        {"n": 1, "event": "attempt.claimed", "attempt": "a1", "hypothesis": "bigger chunks"},
        {
            "n": 2,
            "event": "attempt.judged",
            "attempt": "a1",
            "verdict": "KEEP",
            "reason": "faster",
            "predicted_us": 12.5,
        },
        {"n": 3, "event": "attempt.decided", "attempt": "a1", "decision": "kept", "agent_s": 30.0},
        {"n": 4, "event": "attempt.decided", "attempt": "a2", "decision": "discarded", "predicted_us": 14.0},
    ]
    path = tmp_path / "ledger.jsonl"
    path.write_text("\n".join(map(json.dumps, events)) + '\n{"n": 5, "ev')
    document = read(path, tmp_path)
    assert ("a1", "predicted_us", 12.5, None) in rows(document)
    note = document.notes[0]
    assert (note.part, note.text, note.line) == ("worked", "bigger chunks", 3)


def test_only_what_changed_is_read_again_and_used_is_known(tmp_path: Path) -> None:
    project(tmp_path, {"reports/a.md": "loss: 1.5\n", "reports/b.md": "loss: 2.5\n"})
    assert retro(tmp_path, "collect")["read_now"] == 2
    assert retro(tmp_path, "collect")["read_now"] == 0
    (tmp_path / "reports/b.md").write_text("loss: 2.25\n")
    (tmp_path / "reports/a.md").unlink()
    found = retro(tmp_path, "collect")
    assert (found["read_now"], found["gone"], found["new"]) == (1, ["reports/a.md"], ["reports/b.md"])
    (tmp_path / ".cairn/retro/evidence.sqlite3").write_bytes(b"damaged" * 999)
    assert retro(tmp_path, "collect")["read_now"] == 1


def test_what_lies_outside_or_is_no_text_is_not_read(tmp_path: Path) -> None:
    inside = tmp_path / "project"
    (tmp_path / "secret.md").write_text("loss: 9.9\n")
    project(inside, {"reports/a.md": "loss: 1.5\n", "reports/b.md": "\0\0"})
    (inside / "reports/c.md").symlink_to(tmp_path / "secret.md")
    found = retro(inside, "collect")
    assert (found["sources"], found["facts"], found["warnings"]) == (2, 1, ["reports/b.md: not a text file"])
