"""The score table on the page is what the committed rows say, and the intervals cover what was held out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.lab import chip
from cairn.lab.regime import REGIMES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROWS = [
    json.loads(line)
    for line in (BENCHMARKS / "calibration" / "scored.jsonl").read_text(encoding="utf-8").splitlines()
]


def held_out(target: str) -> list[dict]:
    return [row for row in ROWS if row["target"] == target and row["part"] == "heldout" and not row["noise"]]


def test_the_page_has_the_tables_of_the_committed_rows(tmp_path):
    page = (BENCHMARKS.parent / "docs" / "lab.md").read_text(encoding="utf-8")
    copy = tmp_path / "lab.md"
    copy.write_text(page.replace(" | ", " |  ", 1), encoding="utf-8")
    program = BENCHMARKS / "predict_accuracy.py"
    subprocess.run([sys.executable, program, "--write", copy], check=True, capture_output=True, timeout=120)
    begin = page.index("<!-- accuracy: written")
    assert copy.read_text(encoding="utf-8").partition("<!-- accuracy: written")[2] == page[begin:][22:]


@pytest.mark.parametrize("target", chip.TARGETS)
def test_intervals_cover_what_was_held_out(target):
    figures = chip.load(target)
    assert set(figures.interval_fraction) == set(REGIMES)
    rows = [row for row in held_out(target) if row["us"] is not None]
    assert len(rows) >= 5
    inside = 0
    for row in rows:
        margin = 1.0 + figures.interval_fraction[row["bound"]] + row["by_bytes"]
        inside += row["us"] / margin <= row["measured_us"] <= row["us"] * margin
    assert inside >= 0.85 * len(rows)


def test_parts_are_those_of_the_split():
    split = json.loads((BENCHMARKS / "calibration" / "split.json").read_text(encoding="utf-8"))
    for row in ROWS:
        group, _, number = row["id"].rpartition("/")
        assert int(number) in split[group][row["part"]]
