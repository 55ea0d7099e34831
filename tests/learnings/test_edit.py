"""Writing AGENT.md: whole, once, under a lock, and in the file's own style."""

import dataclasses
import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest

from cairn.errors import BadInput, TryAgain, UsageError
from cairn.learnings import store
from cairn.learnings.edit import NewEntry, add, next_id
from cairn.learnings.history import ids_in_history
from cairn.learnings.identity import mentions, parse_heading, parse_id
from cairn.learnings.parse import parse, read_text
from cairn.learnings.store import add_to_file, edit_of

FAILURE = NewEntry(
    "failure",
    "Lanes",
    (("fix", "f"), ("Symptom", "s"), ("Root cause", "r"), ("Evidence", "e")),
    "gdn",
    "2026-05-06",
)


def titled(title: str) -> NewEntry:
    return dataclasses.replace(FAILURE, title=title)


def test_fields_come_in_the_specified_order_and_extra_ones_before_first_seen() -> None:
    (entry,) = parse(add("", [FAILURE]).after).entries
    assert [(field.label, field.value) for field in entry.fields] == [
        ("Symptom", "s"),
        ("Root cause", "r"),
        ("Fix", "f"),
        ("Evidence", "e"),
        ("First seen", "2026-05-06, gdn optimization"),
    ]
    assert entry.date == "2026-05-06"


def test_a_value_of_many_lines_stays_inside_its_field() -> None:
    value = "first\n### [F900] not an entry\n```\nopen fence\n\n- **Fix**: no"
    entry = dataclasses.replace(FAILURE, fields=(("Symptom", value), ("Root cause", "r"), ("Fix", "f")))
    (read,) = parse(add("", [entry]).after).entries
    assert [field.label for field in read.fields] == ["Symptom", "Root cause", "Fix", "First seen"]
    assert read.values("symptom") == (value,)


def test_crlf_and_byte_order_mark_survive() -> None:
    text = "\ufeff# T\r\n\r\n## Failure Patterns\r\n\r\n## Successful Optimizations\r\n"
    after = add(text, [FAILURE]).after
    assert after.startswith("\ufeff# T\r\n\r\n## Failure Patterns\r\n\r\n### [F001] Lanes\r\n- **Symptom**: s\r\n")
    assert after.endswith("\r\n\r\n## Successful Optimizations\r\n")
    assert "\n" not in after.replace("\r\n", "")


@pytest.mark.parametrize(
    ("text", "failure", "success"),
    [
        ("", "F001", "S001"),
        ("### [F001] a\n### [F009] b\n", "F010", "S001"),
        ("### [F3] a\n", "F4", "S1"),
        ("### [F099] a\n### [F999] b\n", "F1000", "S001"),
        ("### FP1: a\n### [FP16b-gmm] b\n", "FP17", "SO1"),
        ("### SO5: a\n### [F007 / S003] b\n", "F008", "SO6"),
        ("### [F001] a\n### FP2: b\n### FP5: c\n", "FP6", "SO1"),
        ("### [S-none-R1] a\n", "F001", "S001"),
        ("```\n### [F900] a\n```\n", "F001", "S001"),
    ],
)
def test_next_is_above_every_spelling_and_in_the_style_of_the_file(text: str, failure: str, success: str) -> None:
    document = parse(text)
    assert (next_id(document, "failure"), next_id(document, "success")) == (failure, success)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": " "}, "title"),
        ({"fields": (("Symptom", "s"), ("Root cause", "r"))}, "Fix"),
        ({"fields": (("Symptom", "s"), ("Root cause", "r"), ("Fix", " "))}, "Fix"),
        ({"fields": (*FAILURE.fields, ("a*b", "x"))}, "label"),
        ({"kernel": None}, "kernel"),
    ],
)
def test_incomplete_entries_are_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        add("", [dataclasses.replace(FAILURE, **change)])


def test_first_seen_can_be_given() -> None:
    entry = dataclasses.replace(FAILURE, kernel=None, fields=(*FAILURE.fields, ("first seen", "round 3")))
    (read,) = parse(add("", [entry]).after).entries
    assert read.values("First seen") == ("round 3",)
    assert read.date is None


def test_the_same_title_is_refused() -> None:
    text = add("", [FAILURE]).after
    with pytest.raises(UsageError, match="F001"):
        add(text, [titled(" lanes ")])


def test_an_open_fence_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "AGENT.md"
    path.write_text("## Failure Patterns\n\n```\nnever closed\n")
    with pytest.raises(BadInput) as caught:
        add_to_file(path, [FAILURE])
    assert (caught.value.path, caught.value.line) == (path, 3)
    assert path.read_text() == "## Failure Patterns\n\n```\nnever closed\n"


def test_a_file_that_is_not_utf8_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "AGENT.md"
    path.write_bytes(b"# T\n\xff\n")
    with pytest.raises(BadInput) as caught:
        add_to_file(path, [FAILURE])
    assert caught.value.line == 2
    assert path.read_bytes() == b"# T\n\xff\n"


def test_a_linked_file_stays_a_link_and_keeps_its_mode(tmp_path: Path) -> None:
    real = tmp_path / "notes" / "real.md"
    real.parent.mkdir()
    real.write_text("# T\n")
    real.chmod(0o640)
    link = tmp_path / "AGENT.md"
    link.symlink_to(real)
    add_to_file(link, [FAILURE])
    assert link.is_symlink()
    assert "[F001]" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["AGENT.md", "notes", "real.md"]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    edit = edit_of(tmp_path / "AGENT.md", [FAILURE])
    assert edit.ids == ("F001",)
    assert list(tmp_path.iterdir()) == []


def test_writers_at_the_same_time_get_different_numbers(tmp_path: Path) -> None:
    path = tmp_path / "AGENT.md"
    threads = [
        threading.Thread(target=add_to_file, args=(path, [titled(f"title {number}")])) for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [entry.id for entry in parse(read_text(path)).entries] == [f"F00{number}" for number in range(1, 9)]


def test_a_held_lock_means_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_LOCK_WAIT_S", 0.1)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with pytest.raises(TryAgain):
            add_to_file(tmp_path / "AGENT.md", [FAILURE])
    finally:
        os.close(holder)
    assert list(tmp_path.iterdir()) == []


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_numbers_of_other_branches_and_of_deleted_entries_are_used_up(tmp_path: Path) -> None:
    path = tmp_path / "AGENT.md"
    git(tmp_path, "init", "-q", "-b", "main")
    for branch, text in [("main", "### [F001] a\n"), ("side", "### [F001] a\n### [F007-x / S004] b\n")]:
        git(tmp_path, "checkout", "-q", "-B", branch)
        path.write_text(text)
        git(tmp_path, "add", "AGENT.md")
        git(tmp_path, "commit", "-qm", branch)
    git(tmp_path, "checkout", "-q", "main")
    elsewhere = ids_in_history(path)
    assert {name.raw for name in elsewhere} == {"F001", "F007-x", "S004"}
    document = parse(read_text(path))
    assert (next_id(document, "failure", elsewhere), next_id(document, "success", elsewhere)) == ("F008", "S005")


def test_no_history_outside_git(tmp_path: Path) -> None:
    assert ids_in_history(tmp_path / "AGENT.md") == ()
    assert ids_in_history(tmp_path / "missing" / "AGENT.md") == ()


@pytest.mark.parametrize(
    ("text", "prefix", "number", "suffix", "kind"),
    [
        ("F001", "F", 1, "", "failure"),
        ("FP16b-gmm", "FP", 16, "b-gmm", "failure"),
        ("so11-GMM", "SO", 11, "-GMM", "success"),
        ("S-none-R1", "S", None, "none-R1", "success"),
        ("F-012", "F", 12, "", "failure"),
    ],
)
def test_ids(text: str, prefix: str, number: int | None, suffix: str, kind: str) -> None:
    found = parse_id(text)
    assert found is not None
    assert (found.prefix, found.number, found.suffix, found.kind) == (prefix, number, suffix, kind)


@pytest.mark.parametrize("text", ["", "X12", "F", "Fast", "F1 2", "[F001]"])
def test_no_ids(text: str) -> None:
    assert parse_id(text) is None


def test_headings_with_words_beside_the_id() -> None:
    heading = parse_heading("[F006 / CORRECTION] t")
    assert heading is not None
    assert ([name.raw for name in heading.ids], heading.notes, heading.usual) == (["F006"], ("CORRECTION",), False)


def test_mentions_leave_out_code_paths_and_types() -> None:
    text = "SO5+SO6 and FP22-gmm (see [S7], F012) but not `SO9`, F16, f32, x/FP1, 3.FP2 or S3"
    assert [name.raw for name in mentions(text)] == ["SO5", "SO6", "FP22-gmm", "S7", "F012"]
