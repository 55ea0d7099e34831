"""Changing entries: only ever more lines, except for a new number."""

import pytest

from cairn.errors import BadInput, Missing, UsageError
from cairn.learnings.evidence import evidence_fields, evidence_of
from cairn.learnings.identity import parse_id
from cairn.learnings.parse import parse
from cairn.learnings.revise import Extension, Retraction, extend, renumber, retract, supersede

TEXT = """\
# T

## Failure Patterns

### [F001] Narrow
- **Symptom**: refused; unlike F002 and `F002`
- **Fix**: 128 lanes
- **First seen**: 2026-01-02, gdn optimization

### [F002] Wide

Some prose about F001.

## Successful Optimizations

### SO4: Scratch
- **What**: F002-like
"""
BECAUSE = Retraction("2026-05-06", "stale\ntimings; all of them", ("0123abcd",))


def test_extend_adds_lines_at_the_end_of_the_entry() -> None:
    more = (("Applicable when", "bfloat16, too"),)
    after = extend(TEXT, Extension("f1", "2026-05-06", "gdn round 3, a and b", "again\nmore", more)).after
    new = "- **Extended**: 2026-05-06, gdn round 3, a and b: again\n  more\n- **Applicable when**: bfloat16, too\n"
    seen = "- **First seen**: 2026-01-02, gdn optimization\n"
    assert after == TEXT.replace(seen, seen + new)


def test_an_entry_without_fields_can_be_extended() -> None:
    after = extend(TEXT, Extension("F002", "2026-05-06", "", "x")).after
    assert "Some prose about F001.\n- **Extended**: 2026-05-06: x\n\n## Succ" in after


def test_retract_says_why_and_declares_the_evidence_untrusted() -> None:
    after = retract(TEXT, "SO4", BECAUSE).after
    assert after == TEXT + (
        "- **Status**: retracted, 2026-05-06: stale timings, all of them; untrusted evidence: 0123abcd\n"
    )
    evidence = evidence_of(parse(after).entries[2])
    assert (evidence.status, evidence.untrusted, evidence.active) == ("retracted", ("0123abcd",), False)
    with pytest.raises(UsageError, match="retracted already"):
        retract(after, "SO4", BECAUSE)
    with pytest.raises(UsageError, match="retracted"):
        extend(after, Extension("SO4", "2026-05-06", "", "x"))


def test_supersede_marks_both() -> None:
    after = supersede(TEXT, "F001", "F002", BECAUSE).after
    old, new, _ = [evidence_of(entry) for entry in parse(after).entries]
    assert (old.status, old.by and old.by.raw) == ("superseded", "F002")
    assert [(word, name.raw) for word, name in new.relations] == [("supersedes", "F001")]
    with pytest.raises(UsageError, match="itself"):
        supersede(TEXT, "F001", "f1", BECAUSE)


def test_renumber_takes_the_mentions_along() -> None:
    after = renumber(TEXT, "F002").after
    assert "### [F003] Wide" in after
    assert "unlike F003 and `F002`" in after
    assert "F003-like" in after
    assert renumber(after, "F003", to="F002").after == TEXT
    with pytest.raises(UsageError, match="taken"):
        renumber(TEXT, "F002", to="F1")
    with pytest.raises(UsageError, match="not an id"):
        renumber(TEXT, "F002", to="S009")
    elsewhere = parse_id("F007")
    assert elsewhere is not None
    assert renumber(TEXT, "F002", [elsewhere]).ids == ("F002", "F008")


def test_one_of_two_with_the_same_id_is_chosen_by_line() -> None:
    twice = TEXT + "\n### [F001] Other\n- **Fix**: F001\n"
    with pytest.raises(UsageError, match="lines 5, 19"):
        renumber(twice, "F001")
    after = renumber(twice, "F001", line=19).after
    assert after == TEXT + "\n### [F003] Other\n- **Fix**: F003\n"


def test_a_combined_id_keeps_its_other_name() -> None:
    assert renumber("### [S001 / F004] t\n- **Fix**: F004\n", "F004", to="F009").after == (
        "### [S001 / F009] t\n- **Fix**: F009\n"
    )


@pytest.mark.parametrize(
    ("ending", "written"),
    [
        ("- a\n  - nested\n", True),
        ("1. one\n", True),
        ("> quote\n", True),
        ("<div>\n", True),
        ("prose without an end", True),
        ("    code\n", True),
        ("```\nopen\n", False),
        ("<!-- open\n", False),
    ],
)
def test_what_stands_at_the_end_does_not_swallow_the_new_line(ending: str, written: bool) -> None:
    text = f"### [F001] a\n{ending}"
    if not written:
        with pytest.raises(BadInput, match="read back"):
            retract(text, "F001", BECAUSE)
        return
    after = retract(text, "F001", BECAUSE).after
    assert after.startswith(text)
    assert not evidence_of(parse(after).entries[0]).active


def test_wrong_use() -> None:
    with pytest.raises(Missing):
        retract(TEXT, "F009", BECAUSE)
    with pytest.raises(UsageError, match="reason"):
        retract(TEXT, "F001", Retraction("2026-05-06", " "))
    with pytest.raises(UsageError, match="text"):
        extend(TEXT, Extension("F001", "2026-05-06", "", ""))
    with pytest.raises(UsageError, match="label"):
        extend(TEXT, Extension("F001", "2026-05-06", "", "x", (("a*b", "x"),)))


def test_evidence_is_written_as_it_is_read() -> None:
    scope = {"chip": "tpu-v5p", "kernel": "gdn", "shape": "B=8 T=4096"}
    fields = evidence_fields(
        scope, ["result 9c1b22aa (a, 1.3x)", "receipt 3f2a66d0"], "reproduced", [("extends", "F3")]
    )
    assert fields[0] == ("Scope", "kernel gdn; shape B=8 T=4096; chip tpu-v5p")
    text = "### [F001] a\n" + "".join(f"- **{label}**: {value}\n" for label, value in fields)
    evidence = evidence_of(parse(text).entries[0])
    assert evidence.scope == scope
    assert evidence.cites == ("9c1b22aa", "3f2a66d0")
    assert (evidence.confidence, evidence.status) == ("reproduced", "active")
    assert [(word, name.raw) for word, name in evidence.relations] == [("extends", "F3")]
    for wrong in ({"tpu": "x"}, {}):
        with pytest.raises(UsageError, match="is no"):
            evidence_fields(wrong, [], None if wrong else "sure", [])


def test_free_text_in_the_evidence_fields_is_tolerated() -> None:
    text = "### [F001] a\n- **Scope**: everywhere; chip\n- **Confidence**: rather\n- **Related**: FP3, somehow\n"
    evidence = evidence_of(parse(text).entries[0])
    assert (dict(evidence.scope), evidence.confidence, evidence.relations) == ({}, None, ())
