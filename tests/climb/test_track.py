"""Trackers: every line of a ledger arrives once, whatever happens to tracker, climb or network; none hurts a climb."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from climbs import Bench
from fakes import block

from cairn.cli import track_children
from cairn.cli.main import cairn
from cairn.cli.track_children import Trackers, tracked
from cairn.cli.tracking import LedgerPoints
from cairn.climb.ledger import Ledger
from cairn.errors import Missing, UsageError
from cairn.retro.facts import Document
from cairn.retro.ingest.wandb import read_wandb
from cairn.track.specs import NEEDS, SinkSpec, parse_sinks, require_installed
from wandb_service import KEY, FakeWandb, serving
from workspace import Workspace

READ_EVENTS = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
read = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0}).Reload()
scalars = {tag: [[s.step, s.value, s.wall_time] for s in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
texts = {tag: [t.tensor_proto.string_val[0].decode() for t in read.Tensors(tag)] for tag in read.Tags()["tensors"]}
print(json.dumps({"scalars": scalars, "texts": texts}))
"""


@pytest.fixture
def climbed(workspace: Workspace) -> Bench:
    """A climb of two attempts that gained, and one line that an attempt would send to an outside service."""
    bench = Bench(workspace, block(16), block(32))
    bench.run()
    return bench


def export(bench: Bench, *trackers: str) -> dict[str, Any]:
    """In a process of its own: the trackers' packages leave threads and services behind, and warn."""
    asked = [word for each in trackers for word in ("--to", each)]
    words = ["track", "export", "night", *asked, "--root", str(bench.workspace.root), "--json"]
    program = "from cairn.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_tensorboard(folder: str) -> dict[str, Any]:
    """What TensorBoard itself reads; in a process of its own, because its import warns."""
    done = subprocess.run(
        [sys.executable, "-c", READ_EVENTS, folder], capture_output=True, text=True, check=True, timeout=100
    )
    return json.loads(done.stdout)


def receipts_of(bench: Bench) -> list[str]:
    lines = (bench.folder / "receipts.jsonl").read_text().splitlines()
    return sorted(json.loads(line)["id"] for line in lines)


def champions(bench: Bench) -> list[tuple[int, float]]:
    """Line and cost of the champion, from the points themselves."""
    points = LedgerPoints(bench.folder).read()
    return [
        (point.n, point.metrics["climb/champion_us"]) for point in points if "climb/champion_us" in point.metrics
    ]


def test_points_say_what_the_ledger_says(climbed: Bench) -> None:
    points = list(LedgerPoints(climbed.folder).read())
    assert [point.n for point in points] == [
        event["n"] for event in Ledger(climbed.folder / "ledger.jsonl").events
    ]
    assert [us for _, us in champions(climbed)] == [100.0, 80.0, 60.0]
    sent = {receipt["id"] for point in points for receipt in point.receipts}
    assert sent == set(receipts_of(climbed))
    last = [point for point in points if point.metrics][-1]
    assert last.metrics["climb/confirmed_us"] == 60.0


def test_tensorboard_reads_every_line_once_over_launches_and_a_lost_note(climbed: Bench) -> None:
    found = export(climbed, "tensorboard")["trackers"][0]
    climbed.agent.acts.append(block(64))
    climbed.run()
    note = next((climbed.folder / "track").glob("tensorboard-*.json"))
    noted = json.loads(note.read_text())
    note.write_text(json.dumps({**noted, "last": noted["last"] - 5}))  # a kill between the file and the note
    again = export(climbed, "tensorboard")["trackers"][0]
    assert again["place"] == found["place"]
    assert export(climbed, "tensorboard")["trackers"][0]["sent"] == 0

    read = in_tensorboard(found["place"])

    series = read["scalars"]["climb/champion_us"]
    assert [(step, value) for step, value, _ in series] == champions(climbed)
    written = [event["time"] for event in Ledger(climbed.folder / "ledger.jsonl").events]
    assert all(abs(wall_s - _seconds(written[step - 1])) < 0.01 for step, _, wall_s in series)
    assert any("kept as" in text for text in read["texts"]["log/text_summary"])
    assert any('"verdict": "KEEP"' in text for text in read["texts"]["receipts/text_summary"])


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def test_wandb_offline_holds_metrics_and_receipts(climbed: Bench) -> None:
    found = export(climbed, "wandb:offline:kernels")["trackers"][0]
    assert export(climbed, "wandb:offline:kernels")["trackers"][0]["sent"] == 0

    folder = Path(found["place"])
    document = Document(str(folder), "wandb")
    read_wandb(next(folder.glob("run-*.wandb")), document, 10_000)
    rows = [fact for fact in document.facts if fact.group == "history"]
    assert [(fact.step, fact.value) for fact in rows if fact.name == "climb/champion_us"] == champions(climbed)
    receipts = sorted(path.stem for path in (folder / "files" / "receipts").glob("*.json"))
    assert receipts == receipts_of(climbed)
    assert not list(folder.rglob("*.py")), "no source is sent"


def test_wandb_online_counts_every_line_once_although_the_note_is_lost(
    climbed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb({})
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with serving(fake) as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        export(climbed, "wandb:online:me/kernels")
        for note in (climbed.folder / "track").glob("wandb-*.json"):
            note.unlink()
        climbed.agent.acts.append(block(64))
        climbed.run()
        found = export(climbed, "wandb:online:me/kernels")["trackers"][0]
    assert found["place"].startswith(f"{url}/me/kernels/runs/night-")
    assert [
        (row["_step"], row["climb/champion_us"]) for row in fake.history if "climb/champion_us" in row
    ] == champions(climbed)
    assert {f"receipts/{name}.json" for name in receipts_of(climbed)} <= set(fake.files)
    assert fake.unknown == []


def test_mlflow_knows_itself_what_it_has(climbed: Bench) -> None:
    found = export(climbed, "mlflow")["trackers"][0]
    database = climbed.folder / "track" / "mlflow.db"
    before = _metrics(database)
    for note in (climbed.folder / "track").glob("mlflow-*.json"):
        note.unlink()
    climbed.agent.acts.append(block(64))
    climbed.run()
    export(climbed, "mlflow")

    after = _metrics(database)
    assert after[: len(before)] == before
    assert [row[1:] for row in after if row[0] == "climb/champion_us"] == champions(climbed)
    assert len(set(after)) == len(after)
    files = [path.stem for path in (climbed.folder / "track" / "mlflow-files").rglob("receipts/*.json")]
    assert sorted(files) == receipts_of(climbed)
    assert found["place"].startswith("sqlite:///")


def _metrics(database: Path) -> list[tuple[str, int, float]]:
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select key, step, value from metrics order by step, key").fetchall()
    connection.close()
    return rows


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in taken:
            each.close()


def test_trackers_that_hang_or_break_are_said_once_and_hurt_nothing(
    workspace: Workspace, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(track_children, "_LAST_S", 8.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    bench = Bench(workspace, block(16), block(32))
    bench.folder.mkdir(parents=True)
    said: list[str] = []
    specs = parse_sinks([f"mlflow:{silent_server}", "wandb:online", "tensorboard"])
    with tracked(bench.folder, specs, said.append) as trackers:
        children = [child.process for child in trackers._children]
        state = bench.run(on_event=lambda event: trackers.look())
        assert [attempt.decision for attempt in state.decided] == ["kept", "kept"]
        wait_for(lambda: children[1].poll() is not None and noted(bench, "tensorboard") == state_lines(bench))
    assert all(child.returncode is not None for child in children)
    notes = [line for line in said if line.startswith("note:")]
    assert len(notes) == 2, said
    assert any("wandb" in note and "api_key" in note.lower().replace("api key", "api_key") for note in notes), (
        notes
    )
    assert any("did not finish" in note and "mlflow" in note for note in notes), notes
    read = in_tensorboard(str(next((bench.folder / "track" / "tensorboard").iterdir())))
    assert [us for _, us, _ in read["scalars"]["climb/champion_us"]] == [100.0, 80.0, 60.0]


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def noted(bench: Bench, kind: str) -> int:
    """The last line that a tracker is known to have."""
    notes = list((bench.folder / "track").glob(f"{kind}-*.json"))
    return json.loads(notes[0].read_text())["last"] if notes else 0


def state_lines(bench: Bench) -> int:
    return len(Ledger(bench.folder / "ledger.jsonl").events)


def test_a_tracker_leaves_when_its_climb_is_killed(climbed: Bench) -> None:
    """A kill closes the pipe and nothing else."""
    trackers = Trackers(climbed.folder, lambda text: None)
    trackers.start([SinkSpec("tensorboard")])
    child = trackers._children[0].process
    assert child.stdin is not None
    os.kill(child.pid, 0)
    child.stdin.close()
    assert child.wait(timeout=90) == 0
    assert noted(climbed, "tensorboard") == state_lines(climbed)


def test_following_ends_with_the_climb(climbed: Bench) -> None:
    root = ["--root", str(climbed.workspace.root)]
    command = ["track", "export", "night", "--to", "tensorboard", "--follow", *root]
    done = CliRunner().invoke(cairn, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert f"up to line {state_lines(climbed)}" in done.stdout


def test_names_of_trackers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_sinks(["wandb:offline:a/b", "mlflow:http://127.0.0.1:5000", "wandb:offline:a/b"]) == (
        SinkSpec("wandb", "offline:a/b"),
        SinkSpec("mlflow", "http://127.0.0.1:5000"),
    )
    assert parse_sinks(["off"]) == parse_sinks([]) == ()
    with pytest.raises(UsageError, match="no tracker `comet`"):
        parse_sinks(["comet"])
    with pytest.raises(UsageError, match="off"):
        parse_sinks(["off", "wandb"])
    monkeypatch.setitem(NEEDS, "mlflow", ("no_such_package", "mlflow"))
    with pytest.raises(Missing, match="no_such_package") as raised:
        require_installed(parse_sinks(["mlflow"]))
    assert "kernel-cairn[mlflow]" in str(raised.value.hint)


def test_a_climb_names_its_trackers_before_it_begins(workspace: Workspace) -> None:
    registry = json.loads((workspace.root / "registry.json").read_text())
    registry["climb"] = {"track": ["tensorboard"]}
    (workspace.root / "registry.json").write_text(json.dumps(registry))
    command = ["climb", "run", str(workspace.problem), "--dry-run", "--json"]
    plan = json.loads(CliRunner().invoke(cairn, command, catch_exceptions=False).stdout)
    assert plan["trackers"] == ["tensorboard"]
    plan = json.loads(CliRunner().invoke(cairn, [*command, "--track", "off"], catch_exceptions=False).stdout)
    assert plan["trackers"] == []
    with pytest.raises(UsageError, match="no tracker"):
        CliRunner().invoke(cairn, [*command, "--track", "what"], catch_exceptions=False)
