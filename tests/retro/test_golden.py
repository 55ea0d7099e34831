"""A project of each domain, from collecting to the written skill, by the commands that an assistant calls."""

import json
from pathlib import Path

import pytest
import yaml

from retro.golden import DOMAINS, Golden, golden, retro
from workspace import git

BEST = {  # metric, run and raw text of the best one, as a reader of the report would say
    "research": ("val_loss", "h16", "2.884"),
    "unsloth": ("val_loss", "rank16", "0.987"),
    "cuda": ("time", "online-b2048-w8", "0.379"),
    "pallas": ("predicted_us", "chunk128-h4", "1310.55"),
}
CHANGES = {  # a single change with its effect
    "research": ("heads", "8", "16", "val_loss"),
    "unsloth": ("rank", "8", "16", "val_loss"),
    "cuda": ("num_warps", "4", "8", "time"),
    "pallas": ("heads_per_block", "1", "4", "predicted_us"),
}
FAILED = {
    "research": "ran out of memory",
    "unsloth": "CUDA out of memory",
    "cuda": "block 4096",
    "pallas": "RESOURCE_EXHAUSTED",
}


@pytest.fixture(params=DOMAINS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    return golden(request.param, tmp_path)


def test_every_fact_stands_where_it_says(project: Golden) -> None:
    found = retro(project.root, "facts", "--settings", "--limit", "1000")
    assert found["total"] == len(found["facts"]) > 20
    for fact in found["facts"]:
        lines = (project.root / fact["path"]).read_text().splitlines()
        assert fact["raw"] in lines[fact["line"] - 1], fact


def test_compare_finds_the_best_run_the_single_change_and_the_failure(project: Golden) -> None:
    found = retro(project.root, "compare", "--limit", "50")
    metric, run, raw = BEST[project.domain]
    best = [board["rows"][0] for board in found["leaderboards"] if board["metric"] == metric]
    assert [(row["run"], row["raw"], row["place"]) for row in best[:1]] == [(run, raw, 1)]
    pairs = [
        (pair["changes"][0]["parameter"], pair["changes"][0]["from"], pair["changes"][0]["to"], pair["metric"])
        for pair in found["controlled_pairs"]
    ]
    assert CHANGES[project.domain] in pairs
    assert any(FAILED[project.domain] in failure["text"] for failure in found["failures"])


def test_a_draft_passes_the_checker(project: Golden) -> None:
    retro(project.root, "draft", "all of it", "--out", str(project.root / "draft.md"))
    found = retro(project.root, "check", str(project.root / "draft.md"))
    assert found["ok"]
    assert found["files"][0]["counts"]


def test_an_invented_number_is_named_with_what_the_evidence_holds(project: Golden) -> None:
    metric, run, raw = BEST[project.domain]
    name = metric.replace("_", " ")
    invented = f"{float(raw) * 0.9:.3f}"
    (project.root / "bad.md").write_text(f"### Key findings\n\n- the {name} of `{run}` is {invented}\n")
    (finding,) = retro(project.root, "check", str(project.root / "bad.md"), code=1)["files"][0]["findings"]
    assert (finding["line"], finding["what"]) == (3, invented)
    assert any(raw in held and run in held for held in finding["instead"])


def test_from_the_answers_to_the_written_skill(project: Golden) -> None:
    arguments = project.write_answers()
    plan = retro(project.root, "propose", *arguments)
    assert [change["kind"] for change in plan["changes"]] == ["skill", "registry", "guide", "log"]
    assert project.skills_written() == [], "a proposal wrote a skill"
    assert retro(project.root, "diff", plan["plan"])["patch"] == plan["patch"]

    written = retro(project.root, "apply", "--approve", plan["plan"])["written"]
    skills = project.skills_written()
    expected = [".codex"] if (project.root / ".codex").is_dir() else [".agents", ".claude"]
    assert [path.relative_to(project.root).parts[0] for path in skills] == expected
    assert len(written) == len(skills) + 3
    _is_clean(skills[0], project)

    registry = json.loads(next(project.root.glob("**/registry.json")).read_text())
    assert registry["skills"][project.skill]["type"] == "result"
    assert registry["owner"] == "kept as it is"
    assert retro(project.root, "apply", "--approve", plan["plan"])["unchanged"]
    assert retro(project.root, "check", str(skills[0]))["ok"]
    assert retro(project.root, "collect")["new_total"] < retro(project.root, "collect")["sources"]
    lost = [
        line for line in git(project.root, "diff", "-U0").splitlines() if line.startswith("-") and line[1:2] != "-"
    ]
    assert [line for line in lost if "skills" not in line] == [], "foreign lines changed"


def _is_clean(path: Path, project: Golden) -> None:
    text = path.read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["name"] == path.parent.name
    assert set(front["description"]) & set("<>\n") == set()
    assert all(isinstance(value, str) for value in front["metadata"].values())
    assert front["metadata"]["domain"] == project.domain
    head = git(project.root, "rev-parse", "--short=12", "HEAD").strip()
    for words in ("### Provenance", "- Environment: ", f"- Commit: {head}", "- Cost: ", "- Evidence: "):
        assert words in text
    assert str(project.root) not in text
