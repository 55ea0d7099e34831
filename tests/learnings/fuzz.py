"""Throw mutated files at the learnings tool; a run by hand takes as many inputs as wanted.

    python tests/learnings/fuzz.py --inputs 1000000 --seed 1

Each input is read, linted, numbered, and changed in one way. It ends at the first exception that is not one of ours,
and at the first byte that changed outside the edit; the input is printed then.
"""

import argparse
import contextlib
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

from cairn.errors import CairnError
from cairn.learnings.archive import ArchiveText, archive
from cairn.learnings.edit import NewEntry, add, next_number
from cairn.learnings.identity import KINDS
from cairn.learnings.lint import lint
from cairn.learnings.merge import merge
from cairn.learnings.model import Document
from cairn.learnings.parse import parse
from cairn.learnings.revise import Extension, Retraction, extend, renumber, retract
from cairn.learnings.splice import content

GOLDEN = Path(__file__).parent / "golden"
_SCRAPS = (
    "### [F001] a\n@### SO5: b\n@#### [FP16b-gmm] c\n@### [S001 / F004] d\n@# T\n@## Failure Patterns\n@```\n@~~~\n"
    "@## Successful Optimizations\n@- **Fix**: use `x_y`, see F001\n@- **Status**: retracted, 2026-01-01: r\n"
    "@- **Related**: extends [F001]; contradicts\n@<!--\n@-->\n@<div>\n@> q\n@---\n@===\n@  - nested\n@    code\n"
    "@- **Scope**: chip tpu-v5p; kernel\n@- **First seen**: 2026-05-06, gdn optimization\n@[F9]@FP8@|@`@**@NEVER"
)
SCRAPS = (*_SCRAPS.split("@"), "\r\n", "\r", "\n", "\n\n", "\ufeff", "\u2028", "\x0c", "\x00", "\t", "é")
FIELDS = (("Symptom", "s\n### [F9] x"), ("Root cause", "```"), ("Fix", "f"))
NEW = NewEntry("failure", "New one", FIELDS, "gdn", "2026-05-06")
BECAUSE = Retraction("2026-05-06", "r")


def seeds() -> list[str]:
    """Texts to begin with: the inputs of the golden files."""
    found = []
    for path in sorted(GOLDEN.glob("*.md")):
        found += [match[1] for match in re.finditer(r"(?ms)^\.\n(.*?)^\.\n", path.read_text(encoding="utf-8"))]
    return [text for text in found if text]


def mutate(text: str, chance: random.Random) -> str:
    """One to four random changes of a text."""
    for _ in range(chance.randint(1, 4)):
        at, until = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        kind = chance.randrange(4)
        if kind == 0:
            text = text[:at] + chance.choice(SCRAPS) + text[at:]
        elif kind == 1:
            text = text[:at] + text[min(until, at + 20) :]
        elif kind == 2:
            text = text[:at] + text[at:until] * 2 + text[until:]
        elif text:
            at = min(at, len(text) - 1)
            text = (
                text[:at] + chr(chance.choice((10, 13, 32, 35, 45, 42, 91, 93, 96, 0x2028, 0xE9))) + text[at + 1 :]
            )
    return text[:2000]


def check(text: str, chance: random.Random) -> None:
    """Read a text and change it in one way; an assertion fails when something else changed."""
    before = parse(text)
    assert "".join(before.markdown.lines) == text
    lint(before)
    for kind in KINDS:
        assert next_number(before, kind) >= 1
    act = chance.choice((_add, _revise, _renumber, _archive, _merge))
    with contextlib.suppress(CairnError):  # refused, and nothing was written
        act(text, before, chance)


def _add(text: str, before: Document, chance: random.Random) -> None:
    after = parse(add(text, [NEW]).after)
    old = [content(entry) for entry in before.entries]
    new = [content(entry) for entry in after.entries]
    assert len(new) == len(old) + 1
    assert [each for each in new if each in old] == old


def _revise(text: str, before: Document, chance: random.Random) -> None:
    if not before.entries:
        return
    at = chance.randrange(len(before.entries))
    entry = before.entries[at]
    name, line = entry.ids[0].raw, entry.span.first
    if chance.random() < 0.5:
        edit = retract(text, name, BECAUSE, line)
    else:
        edit = extend(text, Extension(name, "2026-05-06", "gdn", "again\n# b"), line)
    lines, kept = before.markdown.lines, parse(edit.after)
    head, tail = "".join(lines[: entry.span.last]), "".join(lines[entry.span.last :])
    assert edit.after.startswith(head)
    assert edit.after.endswith(tail)
    assert [content(each) for i, each in enumerate(kept.entries) if i != at] == [
        content(each) for i, each in enumerate(before.entries) if i != at
    ]


def _renumber(text: str, before: Document, chance: random.Random) -> None:
    if before.entries:
        entry = chance.choice(before.entries)
        after = parse(renumber(text, entry.ids[0].raw, line=entry.span.first).after)
        assert len(after.markdown.lines) == len(before.markdown.lines)
        assert [each.title for each in after.entries] == [each.title for each in before.entries]


def _archive(text: str, before: Document, chance: random.Random) -> None:
    edit = archive(text, ArchiveText("a.md", ""), chance.choice((10, 300, 10_000)))
    found = len(parse(edit.after).entries) + len(parse(edit.archived).entries)
    assert found <= len(before.entries)
    names = {entry.id for each in (edit.after, edit.archived) for entry in parse(each).entries}
    assert names == {entry.id for entry in before.entries}


def _merge(text: str, before: Document, chance: random.Random) -> None:
    assert merge(text, text, text).text == text
    other = mutate(text, chance)
    assert merge(text, text, other).text is not None
    merge(text, mutate(text, chance), other)


def run(inputs: int, seed: int, tell: Callable[[str], None]) -> int:
    """Check many inputs; the number of them that held an entry."""
    chance = random.Random(seed)
    texts, held, started = seeds(), 0, time.monotonic()
    assert len(texts) > 20
    for number in range(1, inputs + 1):
        text = mutate(chance.choice(texts), chance)
        try:
            check(text, chance)
        except Exception:
            tell(f"input {number} of seed {seed}: {text!r}")
            raise
        held += "[F" in text or "SO" in text
        if number % 10_000 == 0:
            tell(f"{number} inputs, {number / (time.monotonic() - started):.0f} a second")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    held = run(given.inputs, given.seed, lambda line: print(line, flush=True))
    print(f"{given.inputs} inputs, {held} with an entry: no exception, no byte changed outside an edit")


if __name__ == "__main__":
    main()
