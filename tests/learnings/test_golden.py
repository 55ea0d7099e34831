"""Golden files: a title, an input, what must come out of it; one test per triple."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from cairn.learnings.edit import NewEntry, add
from cairn.learnings.lint import lint
from cairn.learnings.merge import merge
from cairn.learnings.parse import parse

GOLDEN = Path(__file__).parent / "golden"
FAILURE = NewEntry(
    "failure", "New failure", (("Symptom", "s"), ("Root cause", "r"), ("Fix", "f")), "gdn", "2026-05-06"
)
SUCCESS = NewEntry(
    "success",
    "New success",
    (("Optimization", "o"), ("Impact", "i"), ("Why it works", "w"), ("Applicable when", "a")),
    "gdn",
    "2026-05-06",
)


@dataclass(frozen=True)
class Case:
    title: str
    given: str
    expected: str


def cases(name: str) -> list[Case]:
    """Split a golden file: title, a line with a dot, input, dot, expected, dot."""
    text = (GOLDEN / name).read_text(encoding="utf-8")
    return [Case(*match.groups()) for match in re.finditer(r"(?ms)^(\S[^\n]*)\n\.\n(.*?)^\.\n(.*?)^\.$", text)]


def params(name: str) -> list[object]:
    found = cases(name)
    assert found, f"{name} holds no case"
    return [pytest.param(case, id=case.title) for case in found]


@pytest.mark.parametrize("case", params("entries.md"))
def test_entries(case: Case) -> None:
    """Expected: one line per entry: id | type | section | title | labels (or none)."""
    rows = []
    for entry in parse(case.given).entries:
        section = entry.section.title if entry.section else "-"
        labels = ", ".join(field.label for field in entry.fields)
        rows.append(" | ".join([entry.id, entry.kind, section, entry.title, labels or "none"]) + "\n")
    assert "".join(rows) == case.expected


@pytest.mark.parametrize("case", params("add.md"))
def test_add(case: Case) -> None:
    """The title begins with what is added (failure, success or both); expected: the whole file."""
    what = case.title.partition(":")[0]
    new = {"failure": [FAILURE], "success": [SUCCESS], "both": [FAILURE, SUCCESS]}[what]
    assert add(case.given, new).after == case.expected


@pytest.mark.parametrize("case", params("lint.md"))
def test_lint(case: Case) -> None:
    """Expected: line, code and ids of every finding."""
    rows = [f"{each.line} {each.code} {json.dumps(each.ids)}\n" for each in lint(parse(case.given))]
    assert "".join(rows) == case.expected


@pytest.mark.parametrize("case", params("merge.md"))
def test_merge(case: Case) -> None:
    """Given: base, ours and theirs with `---` between; expected: the merged file."""
    base, ours, theirs = re.split(r"(?m)^---\n", case.given)
    merged = merge(base, ours, theirs)
    assert merged.text == case.expected
    assert bool(merged.conflicts) == ("<<<<<<<" in case.expected)
