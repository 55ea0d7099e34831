"""`cairn learnings`: one JSON object, exit codes, and nothing written on a dry run."""

import json
from pathlib import Path
from typing import Any

import pytest

from cairn.cli.main import main

TOY = Path(__file__).parent.parent / "toy" / "axpy"
TEXT = """\
# Title

## Failure Patterns

### [F001] Narrow blocks
- **Symptom**: refused
- **Root cause**: lanes
- **Fix**: use 128
- **First seen**: 2026-01-02, gdn optimization

## Successful Optimizations

### SO4: Scratch
- **What**: keep it, see F009
"""
ADD = ["add", "--type", "failure", "--title", "New", "--kernel", "gdn", "--date", "2026-03-04"]
FIELDS = ["--field", "Symptom=a = b", "--field", "Root cause=r", "--field", "Fix=f"]


class Session:
    """Runs `cairn learnings` in a project of its own."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.agent = root / "AGENT.md"
        self.capsys = capsys

    def run(self, *arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["learnings", arguments[0], "--root", str(self.root), *arguments[1:]])
        output = self.capsys.readouterr()
        self.errors = output.err
        assert stop.value.code == code, output.err
        return output.out

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        data = json.loads(self.run(*arguments, "--json", code=code))
        assert isinstance(data, dict)
        return data


@pytest.fixture
def session(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.delenv("CAIRN_REGISTRY", raising=False)
    root = tmp_path / "project"
    root.mkdir()
    (root / "registry.json").write_text("{}")
    (root / "AGENT.md").write_text(TEXT)
    return Session(root, capsys)


def test_list(session: Session) -> None:
    data = session.json("list")
    assert data["total"] == 2
    assert data["entries"][0] == {
        "id": "F001",
        "type": "failure",
        "title": "Narrow blocks",
        "section": "Failure Patterns",
        "date": "2026-01-02",
        "status": "active",
        "confidence": None,
        "scope": {"kernel": "gdn"},
        "line": 5,
        "last_line": 9,
    }
    assert [row["id"] for row in session.json("list", "--type", "success")["entries"]] == ["SO4"]
    assert [row["id"] for row in session.json("list", "--match", "LANES")["entries"]] == ["F001"]
    limited = session.json("list", "--limit", "1")
    assert (limited["total"], len(limited["entries"])) == (2, 1)
    assert "2 entries" in session.run("list")


def test_list_without_a_file(session: Session) -> None:
    session.agent.unlink()
    data = session.json("list")
    assert (data["exists"], data["entries"]) == (False, [])
    (session.root / "AGENTS.md").write_text(TEXT)
    session.json("list")
    assert "AGENTS.md holds learnings" in session.errors


def test_show(session: Session) -> None:
    (entry,) = session.json("show", "[f1]")["entries"]
    assert entry["fields"][0] == {"label": "Symptom", "value": "refused", "line": 6}
    assert entry["text"].startswith("### [F001] Narrow blocks\n")
    assert "### SO4" in session.run("show", "SO4")
    session.run("show", "F999", code=69)
    session.run("show", "nonsense", code=2)


def test_next(session: Session) -> None:
    assert session.json("next") == {"path": str(session.agent), "failure": "F002", "success": "SO5"}
    assert session.run("next", "--type", "success") == "success: SO5\n"


def test_add(session: Session) -> None:
    data = session.json(*ADD, *FIELDS)
    assert (data["ids"], data["written"], data["made_sections"]) == (["F002"], True, [])
    new = (
        "\n### [F002] New\n- **Symptom**: a = b\n- **Root cause**: r\n- **Fix**: f\n"
        "- **First seen**: 2026-03-04, gdn optimization\n"
    )
    at = TEXT.index("\n## Successful")
    assert session.agent.read_text() == TEXT[:at] + new + TEXT[at:]


def test_dry_run_prints_a_patch_and_writes_nothing(session: Session) -> None:
    diff = session.run(*ADD, *FIELDS, "--dry-run")
    assert session.agent.read_text() == TEXT
    assert diff.startswith("--- a/AGENT.md\n+++ b/AGENT.md\n")
    assert [line for line in diff.splitlines()[2:] if line.startswith("-")] == []
    assert session.json(*ADD, *FIELDS, "--dry-run")["written"] is False
    session.agent.unlink()
    assert session.run(*ADD, *FIELDS, "--dry-run").startswith("--- /dev/null\n")
    assert not session.agent.exists()


def test_add_makes_the_file(session: Session) -> None:
    session.agent.unlink()
    session.run(*ADD, *FIELDS)
    assert session.agent.read_text().startswith(
        "# Pallas Kernel Optimization Agent Knowledge\n\n## Failure Patterns\n"
    )


def test_add_many_in_one_write(session: Session, tmp_path: Path) -> None:
    fields = {"Symptom": "s", "Root cause": "r", "Fix": "f"}
    entries = [
        {"type": "failure", "title": title, "kernel": "gdn", "date": "2026-03-04", "fields": fields}
        for title in "ab"
    ]
    source = tmp_path / "new.json"
    source.write_text(json.dumps(entries))
    assert session.json("add", "--from", str(source))["ids"] == ["F002", "F003"]
    before = session.agent.read_text()
    entries[1]["title"] = "c"
    source.write_text(json.dumps([entries[1], entries[0]]))
    session.run("add", "--from", str(source), code=2)  # the second one is there already
    assert session.agent.read_text() == before


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 65),
        ("[]", 65),
        ('[{"type": "failure"}]', 65),
        ('[{"type": "x", "title": "t", "fields": {}}]', 65),
        ('[{"type": "failure", "title": "t", "fields": {}, "date": "soon"}]', 2),
        ('[{"type": "failure", "title": "t", "fields": {}, "kernal": "gdn"}]', 65),
    ],
)
def test_bad_json_is_reported_with_its_file(session: Session, tmp_path: Path, text: str, code: int) -> None:
    source = tmp_path / "new.json"
    source.write_text(text)
    session.run("add", "--from", str(source), code=code)
    assert session.agent.read_text() == TEXT
    assert code != 65 or "new.json" in session.errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["add"],
        [*ADD, "--field", "Symptom"],
        [*ADD[:-1], "yesterday", *FIELDS],
        [*ADD, *FIELDS[:2]],
        [*ADD, *FIELDS, "--from", "-"],
    ],
)
def test_wrong_use_is_refused(session: Session, arguments: list[str]) -> None:
    session.run(*arguments, code=2)
    assert session.agent.read_text() == TEXT


def test_lint(session: Session) -> None:
    data = session.json("lint", code=1)
    assert [(row["code"], row["line"]) for row in data["findings"]] == [
        ("no-first-seen", 13),
        ("dangling-reference", 14),
    ]
    assert data["entries"] == 2
    session.agent.write_text(
        TEXT.replace("keep it, see F009", "x\n- **First seen**: 2026-01-02, gdn optimization")
    )
    assert session.run("lint") == "2 entries, 0 findings\n"
    session.agent.unlink()
    session.run("lint", code=69)


def test_the_registry_says_where_the_file_is(session: Session) -> None:
    (session.root / "registry.json").write_text('{"paths": {"learnings": "docs/LEARNED.md"}}')
    session.run(*ADD, *FIELDS)
    assert "[F001] New" in (session.root / "docs" / "LEARNED.md").read_text()
    assert session.agent.read_text() == TEXT


def test_bad_files_are_named(session: Session) -> None:
    session.agent.write_bytes(b"a\n\xff\n")
    session.run("list", code=65)
    assert f"{session.agent}:2:" in session.errors
    session.agent.unlink()
    session.agent.mkdir()
    session.run("list", code=65)


def test_extend_retract_and_supersede(session: Session) -> None:
    session.run("extend", "F001", "--text", "again", "--context", "gdn round 2", "--date", "2026-03-04")
    assert "- **Extended**: 2026-03-04, gdn round 2: again\n" in session.agent.read_text()
    session.run(*ADD, *FIELDS)
    data = session.json("supersede", "F001", "--by", "F002", "--reason", "measured", "--date", "2026-03-04")
    assert data["ids"] == ["F001", "F002"]
    assert "- **Status**: superseded by [F002], 2026-03-04: measured\n" in data["diff"]
    before = session.agent.read_text()
    session.run("retract", "F002", "--reason", "x", "--dry-run")
    assert session.agent.read_text() == before
    session.run("retract", "F002", "--reason", "x", "--untrusted", "0123abcd")
    session.run("retract", "F002", "--reason", "x", code=2)
    assert [row["id"] for row in session.json("list", "--status", "active")["entries"]] == ["SO4"]
    session.run("extend", "F009", "--text", "x", code=69)


def test_add_then_retract_touches_nothing_else(session: Session) -> None:
    session.run(*ADD, *FIELDS)
    session.run("retract", "F002", "--reason", "x")
    kept = [line for line in session.agent.read_text().splitlines() if line in TEXT.splitlines()]
    assert "\n".join(line for line in kept if line) == "\n".join(line for line in TEXT.splitlines() if line)
    assert session.json("next")["failure"] == "F003"


def test_add_with_evidence(session: Session) -> None:
    scope = ["--scope", "chip=tpu-v5p", "--evidence", "receipt 3f2a66d0", "--confidence", "observed once"]
    session.run(*ADD, *FIELDS, *scope)
    (entry,) = session.json("show", "F002")["entries"]
    assert entry["scope"] == {"kernel": "gdn", "chip": "tpu-v5p"}
    assert (entry["evidence"], entry["confidence"]) == (["3f2a66d0"], "observed once")
    labels = [field["label"] for field in entry["fields"]]
    assert labels == ["Symptom", "Root cause", "Fix", "Scope", "Evidence", "Confidence", "First seen"]
    session.run(*ADD, *FIELDS, "--scope", "colour=red", code=2)


def test_renumber(session: Session) -> None:
    assert session.json("renumber", "SO4", "--to", "SO9")["ids"] == ["SO4", "SO9"]
    assert session.agent.read_text() == TEXT.replace("SO4", "SO9")


def test_search_and_similar(session: Session, tmp_path: Path) -> None:
    data = session.json("search", "lanes", "--kernel", "gdn")
    assert [row["id"] for row in data["entries"]] == ["F001"]
    assert data["entries"][0]["text"].startswith("### [F001]")
    data = session.json("search", "--budget-bytes", "10")
    assert (data["entries"], [row["id"] for row in data["more"]]) == ([], ["F001", "SO4"])
    assert "1 learnings" in session.run("search", "scratch")
    error = tmp_path / "error.txt"
    error.write_text("refused")
    assert (
        session.run("similar", "--title", "Narrow block", "--error", f"@{error}", "--explain").count("F001") == 1
    )
    assert session.json("similar", "--title", "Narrow block")["candidates"][0]["parts"]["title"] > 80
    assert session.json("similar")["candidates"] == []
    session.run("similar", "--error", "@nowhere", code=2)


def test_search_for_a_problem(session: Session) -> None:
    (hit,) = session.json("search", "--for-problem", str(TOY), "--kernel", "gdn")["entries"]
    assert hit["id"] == "F001"


def test_archive(session: Session) -> None:
    assert session.json("archive")["ids"] == []
    session.run("retract", "F001", "--reason", "x")
    before = session.agent.read_text()
    session.run("archive", "--dry-run")
    assert session.agent.read_text() == before
    assert session.json("archive")["archive"] == str(session.root / "AGENT.archive.md")
    assert [row["id"] for row in session.json("list")["entries"]] == ["SO4"]
    assert [row["id"] for row in session.json("list", "--archived")["entries"]] == ["F001"]
    assert session.json("show", "F001")["entries"][0]["status"] == "retracted"
    assert session.json("next")["failure"] == "F002"
    assert session.json("search", "lanes")["entries"] == []
    assert session.json("search", "lanes", "--all")["entries"][0]["archived"] is True


def test_merge(session: Session, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("base", "ours", "theirs")]
    for path, name in zip(files, ("", "ours", "theirs"), strict=True):
        path.write_text(TEXT + (f"\n### SO5: {name}\n- **What**: {name}\n" if name else ""))
    data = session.json("merge", *map(str, files))
    assert (data["renumbered"], data["conflicts"]) == ([{"from": "SO5", "to": "SO6"}], [])
    assert (
        files[1].read_text().endswith("### SO5: ours\n- **What**: ours\n\n### SO6: theirs\n- **What**: theirs\n")
    )
    files[1].write_text(TEXT.replace("refused", "a"))
    files[2].write_text(TEXT.replace("refused", "b"))
    session.run("merge", *map(str, files), code=1)
    session.run("merge", str(files[0]), code=2)
    session.run("merge", "--install", code=69)
