"""`cairn report` and `cairn watch` as commands: exit codes, JSON, nothing half-written, followed climbs."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cairn.cli.main import cairn, main
from cairn.cli.report_extra import PACKAGES, require_report_extra
from cairn.errors import CairnError, Missing
from report.climbs import ClimbOnDisk, registry, small

COMMAND = [sys.executable, "-c", "from cairn.cli.main import main; main()"]


def call(*arguments: str) -> str:
    done = CliRunner().invoke(cairn, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def test_json_is_one_object_with_the_figures(tmp_path: Path) -> None:
    runs = registry(tmp_path, ["night"])
    data = json.loads(call("report", "night", "--root", str(tmp_path), "--json"))
    assert data["path"] == str(runs / "night" / "report.html")
    assert data["bytes"] == (runs / "night" / "report.html").stat().st_size
    run = data["runs"][0]
    assert (run["attempts"], run["kept"], run["champion"]["us"]) == (6, ["a0001", "a0006"], 900.5)


def test_a_dry_run_and_a_mail_write_nothing(tmp_path: Path) -> None:
    runs = registry(tmp_path, ["night"])
    before = listing(tmp_path)
    for more in (
        ["--dry-run"],
        ["--dry-run", "--svg", str(tmp_path / "x.svg")],
        ["--morning"],
        ["--morning", "--json"],
    ):
        call("report", "night", "--root", str(tmp_path), *more)
    call("report", "--gallery", str(runs), "--root", str(tmp_path), "--dry-run")
    call("watch", "night", "--root", str(tmp_path), "--once")
    assert listing(tmp_path) == before


def test_pictures(tmp_path: Path) -> None:
    registry(tmp_path, ["night"])
    root = ["--root", str(tmp_path)]
    call("report", "night", *root, "--svg", str(tmp_path / "climb.svg"))
    svg = (tmp_path / "climb.svg").read_text(encoding="utf-8")
    call("report", "night", *root, "--svg", str(tmp_path / "again.svg"))
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == svg, "the same bytes each time"
    assert "prefers-color-scheme:dark" in svg
    assert "predicted cost, µs of one call" in svg
    assert re.search(r"(?:href|src)=\"https?:|@import|<script", svg) is None, "nothing is loaded"
    grounds = []
    for dark in ([], ["--dark"]):
        call("report", "night", *root, "--png", str(tmp_path / "climb.png"), *dark)
        data = (tmp_path / "climb.png").read_bytes()
        assert data.startswith(b"\x89PNG")
        grounds.append(data)
    assert grounds[0] != grounds[1]


def test_the_gallery_links_pages_that_exist(tmp_path: Path) -> None:
    runs = registry(tmp_path, ["night", "day"])
    root = ["--root", str(tmp_path)]
    call("report", "night", *root)
    call("report", "--gallery", str(runs), *root)
    page = (runs / "gallery.html").read_text(encoding="utf-8")
    assert 'href="night/report.html"' in page
    assert 'href="day/report.html"' not in page


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["nigt"], 69),
        (["night", "night"], 2),
        (["--compare", "night"], 2),
        (["night", "--svg", "x.svg", "--morning"], 2),
        (["night", "--svg", "x.svg", "-o", "y.html"], 2),
        (["broken"], 65),
        (["nothing"], 65),
    ],
)
def test_mistakes_have_an_exit_code_and_a_fix(
    arguments: list[str], code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = registry(tmp_path, ["night"])
    (runs / "nothing").mkdir()
    small(runs / "broken")
    ledger = runs / "broken" / "ledger.jsonl"
    ledger.write_text("no json\n" + ledger.read_text())
    with pytest.raises(SystemExit) as stop:
        main(["report", "--root", str(tmp_path), *arguments])
    assert stop.value.code == code
    said = capsys.readouterr().err
    assert "fix:" in said or code == 2
    assert not list(tmp_path.rglob("report.html"))


def test_without_the_extra_it_says_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A finder that knows none of the packages stands where an installation without the extra would."""
    from cairn.cli import report_extra

    monkeypatch.setattr(report_extra, "find_spec", lambda name: None)
    with pytest.raises(Missing, match=", ".join(PACKAGES)) as caught:
        require_report_extra()
    assert caught.value.exit_code == 69
    assert "kernel-cairn[report]" in str(caught.value.hint)
    assert isinstance(caught.value, CairnError)
    registry(tmp_path, ["night"])
    assert "14.44×" in call("report", "night", "--root", str(tmp_path), "--morning"), "a mail needs none of them"


def test_mail_and_watch_import_nothing_heavy(tmp_path: Path) -> None:
    registry(tmp_path, ["night"])
    code = (
        "import sys\n"
        "from cairn.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('jinja2', 'matplotlib', 'jax', 'numpy') if name in sys.modules], file=sys.stderr)"
    )
    for arguments in (["report", "night", "--morning"], ["watch", "night", "--once"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--root", str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr.strip().splitlines()[-1] == "[]", done.stderr


def finish(climb: ClimbOnDisk, step_s: float = 0.3) -> None:
    """The rest of a climb, as a process beside the watcher writes it."""
    time.sleep(2 * step_s)
    climb.attempt("KEEP", "faster", 900.5)
    time.sleep(step_s)
    with (climb.folder / "ledger.jsonl").open("a") as file:
        file.write('{"n": 12, "time": "2026-11-21T02:10:00+00:00", ')
        file.flush()
        time.sleep(2 * step_s)
        file.write('"event": "attempt.planned", "attempt": "a0002", "parent": "x", "agent": "tuner"}\n')
    time.sleep(step_s)
    climb.end()


@pytest.fixture
def running(tmp_path: Path) -> ClimbOnDisk:
    climb = ClimbOnDisk(registry(tmp_path) / "night")
    climb.start()
    climb.measure()
    climb.alive()
    return climb


def test_watch_follows_line_by_line_without_a_terminal(running: ClimbOnDisk, tmp_path: Path) -> None:
    writer = threading.Thread(target=finish, args=(running,))
    command = [*COMMAND, "watch", "night", "--root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        writer.start()
        rest, _ = process.communicate(timeout=60)
    writer.join()
    assert first.startswith("night: running, 0 attempts done")
    assert process.returncode == 0
    assert "KEEP (faster)" in rest
    assert "a0002" in rest, "a line that came in two halves"
    assert rest.rstrip().splitlines()[-1].startswith("champion a0001 900.5 µs predicted")
    assert "\x1b" not in rest


def test_watch_is_live_on_a_terminal(running: ClimbOnDisk, tmp_path: Path) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    command = [*COMMAND, "watch", "night", "--root", str(tmp_path)]
    process = subprocess.Popen(command, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    writer = threading.Thread(target=finish, args=(running, 0.6))
    writer.start()
    seen = b""
    try:
        while chunk := os.read(master, 65536):
            seen += chunk
    except OSError:
        pass  # a terminal whose last user has left reads as an error
    finally:
        os.close(master)
    writer.join()
    assert process.wait(timeout=60) == 0
    text = seen.decode()
    assert "\x1b[" in text
    assert "planning the next attempt" in text
    assert "ended: attempts_done" in text
    assert "14.44× the baseline's speed" in text


def test_watch_notices_a_climb_that_was_killed(running: ClimbOnDisk, tmp_path: Path) -> None:
    (running.folder / "owner.json").write_text(json.dumps({"pid": 2**22 + 1, "host": os.uname().nodename}))
    said = call("watch", "night", "--root", str(tmp_path))
    assert "! the climb's process is gone" in said
    data = json.loads(call("watch", "night", "--root", str(tmp_path), "--once", "--json"))
    assert (data["state"], data["champion_us"]) == ("stopped", 6131.726000000001)
