"""Recording a round: one write, one comment text, one commit; the same end after a kill between any two steps."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cairn.cli.main import main
from cairn.learnings.evidence import evidence_of
from cairn.learnings.parse import parse
from cairn.rounds.commit import commit_files
from rounds.runs import failure, make_run, plan, write_round
from workspace import git

KILLED = """
import os, signal, sys
from pathlib import Path
from cairn.cli.round_facts import facts_of
from cairn.rounds.plan import check_plan, read_plan
from cairn.rounds.record import Recording

left = int(sys.argv[3])

def announce(step):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

plan, agent_md = read_plan(Path(sys.argv[1])), Path(sys.argv[2])
facts = facts_of(plan.run, plan.keys.round, agent_md, plan.keys.kernel)
recording = Recording(plan, facts, agent_md, announce)
recording.begin()
ids = recording.write_learnings()
recording.write_comment(ids)
print(recording.commit(ids).id)
"""


class Project:
    """A user's repository with a run in it, and unsaved work that nobody may touch."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        (root / "registry.json").write_text("{}")
        (root / ".gitignore").write_text("gdn_*/\n*.json\n")
        (root / "notes.txt").write_text("committed\n")
        git(root, "init", "--quiet", "--initial-branch=main")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "-m", "start")
        self.agent_md = root / "AGENT.md"
        self.run_dir = make_run(root)
        (root / "notes.txt").write_text("the user's unsaved thought\n")
        (root / "staged.txt").write_text("staged\n")
        git(root, "add", "staged.txt")

    def plan(self, **changes: Any) -> Path:
        path = self.root / "plan.json"
        path.write_text(json.dumps(plan(self.run_dir, **changes)))
        return path

    def subjects(self) -> list[str]:
        return git(self.root, "log", "--format=%s").splitlines()

    def state(self) -> tuple[str, str, list[str], str]:
        """All that a user sees: both texts, the history and what is unsaved."""
        comment = (self.run_dir / "iteration_2/comment.md").read_text()
        return self.agent_md.read_text(), comment, self.subjects(), git(self.root, "status", "--porcelain")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "my project")


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> dict[str, Any]:
    with pytest.raises(SystemExit) as stop:
        main(["round", *map(str, arguments), "--json"])
    output = capsys.readouterr()
    assert stop.value.code == code, output.err
    return dict(json.loads(output.out)) if output.out else {"error": output.err}


def record(
    capsys: pytest.CaptureFixture[str], project: Project, path: Path, *more: str, code: int = 0
) -> dict[str, Any]:
    return run(capsys, "record", path, "--root", project.root, *more, code=code)


def test_one_write_one_commit_one_comment(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    data = record(capsys, project, project.plan())
    assert (data["ids"], data["pending"]) == (["F001", "S001"], [])
    failed, good = parse(project.agent_md.read_text()).entries
    assert failed.first_seen == "2026-05-07, gdn optimization"
    evidence = evidence_of(failed)
    assert (len(evidence.cites), evidence.confidence) == (2, "observed once")
    assert dict(evidence_of(good).scope) == {
        "kernel": "gdn",
        "chip": "TPU v5p",
        "jax": "0.10.2",
        "libtpu": "0.0.51",
    }
    assert "(round 2, L1_fused, 1.500x)" in good.values("Evidence")[0]
    assert project.subjects() == ["docs(agent): record learnings from gdn round 2", "start"]
    changed = git(project.root, "show", "--name-only", "--format=", "HEAD").split()
    assert changed == ["AGENT.md"]
    assert (project.root / "notes.txt").read_text() == "the user's unsaved thought\n"
    assert "A  staged.txt" in git(project.root, "status", "--porcelain")
    comment = (project.run_dir / "iteration_2/comment.md").read_text()
    assert "**New learnings:** [F001], [S001]\n" in comment
    assert comment.endswith("<!-- cairn:round run=gdn_20260506_101500 round=2 -->\n")
    before = project.state()
    assert record(capsys, project, project.plan())["commit"] == data["commit"]
    assert project.state() == before


def test_killed_between_any_two_steps_it_ends_the_same(tmp_path: Path) -> None:
    want, cuts = None, 0
    for cut in range(20):
        project = Project(tmp_path / f"p{cut}")
        command = [sys.executable, "-c", KILLED, str(project.plan()), str(project.agent_md)]
        if cut:
            first = subprocess.run([*command, str(cut)], check=False, cwd=project.root, capture_output=True)
            cuts += first.returncode == -signal.SIGKILL
        again = subprocess.run([*command, "0"], check=True, cwd=project.root, capture_output=True, text=True)
        assert again.stdout.strip() == git(project.root, "rev-parse", "HEAD").strip()
        want = want or project.state()
        assert project.state() == want, f"cut {cut}"
        if cut and first.returncode == 0:
            break
    assert cuts >= 7


def test_another_writer_in_between_changes_nothing(project: Project) -> None:
    command = [sys.executable, "-c", KILLED, str(project.plan()), str(project.agent_md)]
    subprocess.run(
        [*command, "3"], check=False, cwd=project.root, capture_output=True
    )  # AGENT.md was just written
    text = project.agent_md.read_text()
    assert "[F001]" in text
    project.agent_md.write_text(text + "\n### [S002] somebody else\n- **Optimization**: o\n")
    subprocess.run([*command, "0"], check=True, cwd=project.root, capture_output=True)
    assert project.agent_md.read_text().count("### ") == 3


def test_another_plan_after_a_kill_does_not_write_the_round_twice(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", KILLED, str(project.plan()), str(project.agent_md)]
    subprocess.run([*command, "3"], check=False, cwd=project.root, capture_output=True)
    text = project.agent_md.read_text()
    path = project.plan(notes={"narrow": "something else"})
    assert "recorded already" in record(capsys, project, path, code=2)["error"]
    assert project.agent_md.read_text() == text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"skip": {}}, "not decided: L1_slow, late"),
        ({"skip": {"L1_slow": "x", "late": " "}}, "no reason"),
        ({"skip": {"L1_slow": "x", "late": "x", "wide": "x"}}, "skipped and cited"),
        ({"skip": {"L1_slow": "x", "late": "x", "who": "x"}}, "no variant `who`"),
        ({"notes": {"who": "x"}}, "no variant `who`"),
        ({"round": 9}, "no round 9"),
        ({"schema": 2}, "schema 2"),
        ({"surprise": 1}, "surprise"),
        ({"extend": [{"id": "F001", "text": "x", "variants": []}]}, "names no variant"),
    ],
)
def test_plans_that_do_not_fit_are_refused(
    project: Project, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], said: str
) -> None:
    assert said in record(capsys, project, project.plan(**changes), code=65)["error"]
    assert not project.agent_md.exists()
    assert len(project.subjects()) == 1


def claim(project: Project, at: int, **changes: Any) -> Path:
    keys = plan(project.run_dir)
    keys["add"][at].update(changes)
    return project.plan(add=keys["add"])


def test_claims_that_are_too_strong_are_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    path = claim(project, 1, confidence="reproduced")
    assert "reproduces nothing" in record(capsys, project, path, code=65)["error"]
    path = claim(project, 1, confidence="reproduced", evidence=["receipt 0123abcd"])
    record(capsys, project, path, "--dry-run")
    path = claim(project, 0, type="success")
    assert "no successful variant" in record(capsys, project, path, code=65)["error"]
    path = claim(project, 0, type="lesson")
    assert "neither" in record(capsys, project, path, code=65)["error"]
    assert not project.agent_md.exists()


def test_untrusted_results_are_refused_and_unproven_ones_are_hypotheses(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.run_dir / "iteration_2/variants/L1_fused/eval_result.json"
    data = json.loads(path.read_text())
    fingerprint = data["metadata"].pop("fingerprint")
    path.write_text(json.dumps(data))
    assert "UNPROVEN (missing_fingerprint)" in record(capsys, project, project.plan(), code=65)["error"]
    diff = record(capsys, project, project.plan(), "--dry-run", "--accept-unproven")["diff"]
    assert "+- **Confidence**: hypothesis" in diff
    assert "unproven: missing_fingerprint" in diff
    data["metadata"]["fingerprint"] = fingerprint
    data["metadata"]["benchmark"]["evaluation_times_ms"][3] = 0.0006
    path.write_text(json.dumps(data))
    said = record(capsys, project, project.plan(), "--accept-unproven", code=65)["error"]
    assert "UNTRUSTED" in said
    assert not project.agent_md.exists()


def test_extensions_go_into_the_old_entry(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    keys = plan(project.run_dir)
    project.agent_md.write_text("## Failure Patterns\n\n### [F007] Mixed types\n- **Symptom**: s\n")
    more = {
        "id": "F007",
        "text": "float32 too",
        "variants": ["narrow", "wide"],
        "fields": {"Applicable when": "a"},
    }
    data = record(capsys, project, project.plan(extend=[more], add=keys["add"][1:]))
    assert data["ids"] == ["F007", "S001"]
    text = project.agent_md.read_text()
    assert "- **Extended**: 2026-05-07, gdn round 2, narrow, wide: float32 too\n- **Applicable when**: a\n" in text
    assert (
        "**New learnings:** [S001], [F007] (extended)" in (project.run_dir / "iteration_2/comment.md").read_text()
    )


def test_a_round_that_teaches_nothing_makes_no_commit(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    skip = dict.fromkeys(("L1_fused", "L1_slow", "narrow", "wide", "late"), "nothing new")
    data = record(capsys, project, project.plan(add=[], skip=skip))
    assert (data["ids"], data["commit"], data["commit_note"]) == ([], None, "AGENT.md did not change")
    assert "**New learnings:** none" in (project.run_dir / "iteration_2/comment.md").read_text()
    assert len(project.subjects()) == 1
    assert not project.agent_md.exists()
    assert "another plan" in record(capsys, project, project.plan(), code=2)["error"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_git_folder_that_cannot_be_written_leaves_the_commit_pending(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / ".git").chmod(0o500)
    data = record(capsys, project, project.plan(), code=75)
    (project.root / ".git").chmod(0o700)
    assert data["pending"][0]["step"] == "commit"
    assert record(capsys, project, project.plan())["commit"]


def test_a_lock_leaves_the_commit_pending_and_a_repeat_makes_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = project.root / ".git" / "index.lock"
    lock.touch()
    data = record(capsys, project, project.plan(), code=75)
    assert data["ids"] == ["F001", "S001"]
    assert data["pending"][0]["command"].startswith("git add AGENT.md && git commit -m 'docs(agent): record")
    lock.unlink()
    assert record(capsys, project, project.plan())["commit"]
    assert len(project.subjects()) == 2


def test_outside_git_and_for_ignored_files_there_is_nothing_to_commit(project: Project, tmp_path: Path) -> None:
    (tmp_path / "AGENT.md").write_text("x")
    assert commit_files([tmp_path / "AGENT.md"], "m").reason == "not in a git repository"
    assert commit_files([project.root / "registry.json"], "m").reason == "ignored by git"
    assert commit_files([project.root / "nowhere.md"], "m").reason == "there is no file to commit"


def test_the_files_commands(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    where = (project.run_dir, "--root", project.root)
    data = run(capsys, "status", *where, code=1)
    states = {step["name"]: step["state"] for step in data["steps"]}
    assert states == {
        "strategy.md": "done",
        "results": "partly",
        "batch_analysis.md": "open",
        "selection.md": "open",
        "lineages": "open",
        "learnings": "open",
        "comment": "open",
        "commit": "open",
    }
    digest = run(capsys, "digest", *where)
    assert digest["next_ids"] == {"failure": "F001", "success": "S001"}
    assert [row["variant"] for row in digest["variants"]] == ["L1_fused", "L1_slow", "late", "narrow", "wide"]
    assert run(capsys, "select", *where, "--dry-run")["written"] == []
    assert len(run(capsys, "select", *where)["written"]) == 3
    assert run(capsys, "select", *where)["applied"] is False
    write_round_late(project)
    record(capsys, project, project.plan(skip={"L1_slow": "x", "late": "x"}))
    data = run(capsys, "status", *where, code=1)
    assert data["next"]["name"] == "comment"
    assert "comment.md is written, not posted" in data["next"]["proof"]
    text = run(capsys, "handoff", *where)["text"]
    assert "- Next: comment: cairn comment post" in text
    assert text == (project.run_dir / "handoff.md").read_text()
    project.agent_md.write_text("")
    data = run(capsys, "status", *where, code=1)
    assert data["next"]["name"] == "learnings", "the journal alone proves nothing"


def write_round_late(project: Project) -> None:
    (project.run_dir / "iteration_2/variants/late/eval_result.json").write_text(
        json.dumps(failure("ValueError: x"))
    )


def test_pages_of_other_tools_stay(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    page = project.run_dir / "iteration_2/selection.md"
    page.write_text("## mine\n")
    run(capsys, "select", project.run_dir, "--root", project.root)
    assert page.read_text() == "## mine\n"
    assert json.loads((project.run_dir / "lineages.json").read_text())["round"] == 2
    (project.run_dir / "lineages.json").write_text("{")
    run(capsys, "select", project.run_dir, "--root", project.root, code=2)


def test_a_run_without_any_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_round(tmp_path / "run", 1, {"a": None})
    data = run(capsys, "digest", tmp_path / "run", "--root", tmp_path)
    assert data["variants"][0]["suggestion"]["kind"] == "skip"


def test_the_plan_that_the_skill_shows_is_a_plan(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    skill = Path(__file__).parent.parent.parent / "skills" / "record-learnings" / "SKILL.md"
    example = re.search(r'(?ms)^    (\{"run": "RUN_DIR".*?\}\})$', skill.read_text(encoding="utf-8"))
    assert example
    run_dir = project.root / "RUN_DIR"
    write_round(run_dir, 4, {name: failure(f"ValueError: {name}") for name in "abde"})
    write_round(run_dir, 3, {})
    (run_dir / "iteration_4/variants/c").mkdir()
    good = json.loads((project.run_dir / "iteration_2/variants/L1_fused/eval_result.json").read_text())
    good["metadata"]["fingerprint"].pop("source_sha256")
    (run_dir / "iteration_4/variants/c/eval_result.json").write_text(json.dumps(good))
    project.agent_md.write_text("## Failure Patterns\n\n### [F003] Mixed types\n- **Symptom**: s\n")
    path = project.root / "plan.json"
    path.write_text(example[1])
    data = record(capsys, project, path, "--accept-unproven")
    assert data["ids"] == ["F003", "F004", "S001"]
