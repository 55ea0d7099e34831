"""The three grammars of real experiment logs, in our own words."""

import pytest

from cairn.retro.log import is_date, read_log

HEADINGS = """\
# Experiment Log

## Format
- **Date**: YYYY-MM-DD
- **Type**: Plan | Observation | Retrospective

## 2026-01-21 – Retrospective: softmax rows
**Type:** Retrospective

### What we tried
- two passes

## 2026-01-20 — Block sizes
**Type**: Observation
**General description:** wider is better

## 2026-01-19 | Benchmark | Ring buffer
**Problem**: slow
"""
BULLETS = """\
# Log

<!-- New entries go above this line -->

## 2026-02-01

- **Date**: 2026-02-01
- **Type**: Observation
- **General description**: Loss goes down
- **Details**:
  - run one
    - **lr**: 1e-3

- **Date**: 2026-02-01
- **Type**: Plan
- **General description**: Try warm-up

## Notes
not part of it
"""
MIXED = """\
## 2026-03-01 — Benchmark: attention
- **Date**: 2026-03-01
- **Type**: Observation
- **Details**: faster

- **Date**: 2026-03-02
- **Details**: without a heading
"""


def rows(text: str) -> list[tuple[str, str, str | None, int, int]]:
    return [(each.date, each.title, each.type, each.first_line, each.last_line) for each in read_log(text)]


def test_dated_headings() -> None:
    assert rows(HEADINGS) == [
        ("2026-01-21", "softmax rows", "Retrospective", 7, 11),
        ("2026-01-20", "Block sizes", "Observation", 13, 15),
        ("2026-01-19", "Ring buffer", "Benchmark", 17, 18),
    ]


def test_groups_of_bullets() -> None:
    assert rows(BULLETS) == [
        ("2026-02-01", "Loss goes down", "Observation", 7, 12),
        ("2026-02-01", "Try warm-up", "Plan", 14, 16),
    ]


def test_a_heading_and_its_own_date_bullet_are_one_entry() -> None:
    assert rows(MIXED) == [
        ("2026-03-01", "attention", "Observation", 1, 4),
        ("2026-03-02", "2026-03-02", None, 6, 7),
    ]


def test_crlf_changes_nothing() -> None:
    for text in (HEADINGS, BULLETS, MIXED):
        assert rows(text.replace("\n", "\r\n")) == rows(text)


@pytest.mark.parametrize("text", ["", "# Log\n", "```\n## 2026-01-01 – x\n```\n", "## 2026-13-01 – no such day\n"])
def test_no_entries(text: str) -> None:
    assert rows(text) == []


def test_days() -> None:
    assert is_date("2026-02-28")
    assert not is_date("2026-02-30")
    assert not is_date("20260228")
