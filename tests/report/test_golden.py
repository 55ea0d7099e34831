"""The mail and the JSON of known climbs, byte for byte.

Renew them with CAIRN_RENEW_GOLDEN=1 and read the difference before committing it.
"""

import os
from pathlib import Path

import msgspec
import pytest

from cairn.cli.report_find import source_in
from cairn.cli.report_rows import climb_run
from cairn.report.morning import morning
from cairn.report.rows import SCHEMA, Report, Run
from report.climbs import ClimbOnDisk, small

GOLDEN = Path(__file__).parent / "golden"


def predicted(folder: Path) -> None:
    small(folder)


def measured(folder: Path) -> None:
    small(folder, kind="measured")


def killed(folder: Path) -> None:
    climb = ClimbOnDisk(folder)
    climb.start()
    climb.measure()
    climb.event("attempt.planned", attempt="a0001", parent=climb.parent, agent="codex")


def hostile(folder: Path) -> None:
    climb = ClimbOnDisk(folder)
    climb.start()
    climb.measure()
    text = "| <img src=x> @everyone `a` sk-abcdefghijklmnopqrstuvwx /home/jo/k \x1b[31m\u202e"
    climb.attempt("KEEP", "faster", 900.5, hypothesis=text)
    climb.end(text)


@pytest.mark.parametrize("make", [predicted, measured, killed, hostile], ids=lambda each: each.__name__)
def test_golden(make: object, tmp_path: Path) -> None:
    assert callable(make)
    name = make.__name__
    make(tmp_path / name)
    source = source_in(tmp_path / name)
    assert source is not None
    run = msgspec.structs.replace(climb_run(source), files={})
    report = Report(SCHEMA, "run", "0.0.0", "2026-11-21T00:00:00+00:00", [run])
    data = msgspec.json.format(msgspec.json.encode(report), indent=1).decode() + "\n"
    compare(GOLDEN / f"{name}.md", morning(run))
    compare(GOLDEN / f"{name}.json", data)
    assert len(morning(run).splitlines()) <= 40, "one screen"


def compare(path: Path, text: str) -> None:
    if os.environ.get("CAIRN_RENEW_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_an_empty_run_has_a_mail() -> None:
    assert "nothing was tried yet" in morning(Run(name="new"))
