"""What is written keeps to the file's own form: logs in three grammars and both directions, guides, skills."""

import datetime
from pathlib import Path

import pytest
import yaml

from cairn.retro.guide import SECTIONS, TABLE, read_guide
from cairn.retro.log import read_log
from cairn.retro.log_entry import Draft, grammar_of, insert_entry
from cairn.retro.plan import add_guide_entry, add_to_registry
from cairn.retro.skillfile import faults_of, overlaps, read_skill, render, scrub
from retro.evidence_files import SWEEP, project
from retro.golden import PROJECTS, retro

DRAFT = Draft("2026-06-01", "softmax", "what it was", [("Key findings", ["- 1.31x"]), ("What failed", ["- none"])])
LOGS = {
    "research": ("heading", "last"),
    "cuda": ("pipes", "first"),
    "unsloth": ("bullets", "first"),
    "pallas": ("heading", "first"),
}
FIX = {"pattern": "a | b", "symptom": "s", "cause": "c", "solution": "f", "date": "2026-06-01", "domain": "cuda"}


@pytest.mark.parametrize("domain", LOGS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_entry_in_the_logs_own_grammar_and_direction(domain: str, newline: str) -> None:
    text = (PROJECTS / domain / "references/experiment-log.md").read_text().replace("\n", newline)
    old = read_log(text)
    after = insert_entry(text, DRAFT)
    new = read_log(after)
    grammar, place = LOGS[domain]
    assert grammar_of(text, old) == grammar
    assert [entry.date for entry in new].index("2026-06-01") == (0 if place == "first" else len(old))
    assert [entry.text for entry in new if entry.date != "2026-06-01"] == [entry.text for entry in old]
    lines = after.splitlines(keepends=True)
    assert all(line in lines for line in text.splitlines(keepends=True)), "a foreign line changed"
    assert insert_entry(after, DRAFT) == after
    assert {line[len(line.rstrip("\r\n")) :] for line in lines} <= {newline}


@pytest.mark.parametrize(
    "text", ["", "# Experiment Log\n\n## Format\n- **Date**: YYYY-MM-DD\n", "no newline at the end"]
)
def test_a_log_without_entries(text: str) -> None:
    after = insert_entry(text, DRAFT)
    assert after.startswith(text)
    assert [entry.date for entry in read_log(after)] == ["2026-06-01"]


def test_guides_keep_their_form_and_what_stands_behind() -> None:
    table = (PROJECTS / "cuda/references/troubleshooting.md").read_text()
    after = add_guide_entry(table, FIX)
    assert read_guide(table).form == TABLE
    assert [entry.pattern for entry in read_guide(after).entries] == ["illegal memory access", "a | b"]
    assert after.replace("| a \\| b | s | c | f |\n", "") == table
    assert add_guide_entry(after, FIX) == after
    sections = (PROJECTS / "pallas/references/troubleshooting.md").read_text()
    assert read_guide(sections).form == SECTIONS
    assert add_guide_entry(sections, FIX).startswith(sections)


def test_the_registry_keeps_order_unknown_keys_and_indentation() -> None:
    text = '{\n    "zeta": 1,\n    "skills": {},\n    "domain": "cuda"\n}'
    after = add_to_registry(text, "a", {"type": "result"}, None)
    assert after.startswith('{\n    "zeta": 1,\n    "skills": {\n        "a"')
    assert add_to_registry(after, "a", {"type": "result"}, None) == after


def test_secrets_and_machine_paths_are_taken_out(tmp_path: Path) -> None:
    key = "sk-" + "a1B2" * 10
    text, found = scrub(f"{tmp_path}/x.md, /home/kim/data/x, /scratch/kim/runs and {key}", tmp_path)
    assert text.startswith("x.md, ")
    assert "kim" not in text
    assert key not in text
    assert len(found) >= 2


def test_faults_that_hosts_would_find() -> None:
    good = render("a-b", 'Use "it" <now>.', {"tags": "x"}, "# A\n")
    assert faults_of(good, "a-b") == []
    assert faults_of(good, "other")
    for bad in (
        good.replace("name: a-b", "name: A_b"),
        good.replace("description: ", "description: >\n  "),
        good.replace('tags: "x"', "tags: [x]"),
        good.replace("Use", "<retrospective> Use"),
        good.replace("---\n", "", 1),
        good.replace("name: a-b", "name: a-b\ntriggers: x"),
    ):
        assert faults_of(bad, "a-b"), bad


def skill(root: Path, name: str, description: str) -> None:
    path = root / ".agents/skills" / name / "SKILL.md"
    path.parent.mkdir(parents=True)
    body = "\n".join(f"## {each}\n\n- x\n" for each in ("General Description", "When to Apply", "Results Summary"))
    body += "\n## Recommended Practice\n\n- x\n\n## Failure Modes\n\n- x\n"
    path.write_text(render(name, description, {"created": "2026-01-01"}, body))


def test_an_alike_skill_must_be_decided_on(tmp_path: Path) -> None:
    project(tmp_path, {"reports/a.md": SWEEP, "log.md": "# Experiment Log\n"})
    skill(tmp_path, "decoder-learning-rate", "Learning rate of small decoders. Use when choosing a learning rate.")
    draft = tmp_path / "drafts/decoder-lr-rate/SKILL.md"
    draft.parent.mkdir(parents=True)
    text = (tmp_path / ".agents/skills/decoder-learning-rate/SKILL.md").read_text()
    draft.write_text(text.replace("name: decoder-learning-rate", "name: decoder-lr-rate"))
    found = overlaps(
        "decoder-lr-rate", "", [read_skill(tmp_path / ".agents/skills/decoder-learning-rate/SKILL.md", tmp_path)]
    )
    assert found

    parts = "".join(
        f"### {part}\n\n- x\n\n" for part in ("What we tried", "Key findings", "What failed", "Open questions")
    )
    (tmp_path / "s.md").write_text(parts)
    arguments = ["propose", str(tmp_path / "s.md"), "--subject", "lr", "--skill", str(draft)]
    refused = retro(tmp_path, *arguments, code=1)["refused"]
    assert len(refused) == 1
    assert "--supersedes decoder-learning-rate" in refused[0]
    plan = retro(tmp_path, *arguments, "--supersedes", "decoder-learning-rate")
    retro(tmp_path, "apply", "--approve", plan["plan"])
    old = yaml.safe_load(
        (tmp_path / ".agents/skills/decoder-learning-rate/SKILL.md").read_text().split("---\n")[1]
    )
    new = yaml.safe_load((tmp_path / ".claude/skills/decoder-lr-rate/SKILL.md").read_text().split("---\n")[1])
    assert (old["metadata"]["status"], old["metadata"]["superseded-by"]) == ("superseded", "decoder-lr-rate")
    assert (new["metadata"]["supersedes"], new["metadata"]["status"]) == ("decoder-learning-rate", "active")
    assert retro(tmp_path, "compare")["superseded_skills"] == [".agents/skills/decoder-learning-rate/SKILL.md"]


def test_a_summary_without_failures_is_refused_and_an_entry_alone_needs_no_approval(tmp_path: Path) -> None:
    project(tmp_path, {"reports/a.md": SWEEP})
    (tmp_path / "s.md").write_text("### What we tried\n\n- x\n\n### Key findings\n\n- `base-b`: val loss 2.84\n")
    refused = retro(tmp_path, "propose", str(tmp_path / "s.md"), "--subject", "x", code=1)["refused"]
    assert "What failed" in refused[0]
    for _ in range(2):
        retro(tmp_path, "log", str(tmp_path / "s.md"), "--subject", "x")
    (entry,) = read_log((tmp_path / "log.md").read_text())
    assert (entry.date, entry.type) == (datetime.date.today().isoformat(), "Retrospective")
    (tmp_path / "s.md").write_text("### Key findings\n\n- `base-b`: val loss 1.11\n")
    assert not retro(tmp_path, "log", str(tmp_path / "s.md"), "--subject", "y", code=1)["ok"]
