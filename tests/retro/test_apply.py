"""Applying writes inside the allowed places only, all or nothing, and the same again changes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.errors import BadInput, CairnError, TryAgain
from cairn.registry import Registry, load_registry
from cairn.retro.apply import apply_plan, finish, recover, refuse_outside
from cairn.retro.plan import GUIDE, LOG, REGISTRY, SKILL, Change, Plan, load_plan, save_plan
from cairn.retro.skillfile import render

TEXT = render("good-name", "What it is. Use when tuning.", {"tags": "a"}, "# Good\n")
ENTRY = {"date": "2026-01-20", "subject": "s", "description": "d", "parts": [["Key findings", ["- x"]]]}
FIX = {"pattern": "p", "symptom": "s", "cause": "c", "solution": "f", "date": "2026-01-20", "domain": "cuda"}
PLAN = Plan(
    "test",
    "2026-01-20",
    [
        Change(SKILL, "good-name", TEXT),
        Change(REGISTRY, "good-name", data={"type": "result"}),
        Change(GUIDE, "p", data=FIX),
        Change(LOG, "s", data=ENTRY),
    ],
)


def make(folder: Path, **paths: str) -> Registry:
    root = folder / "project"
    (root / ".codex/skills").mkdir(parents=True)
    (root / "log.md").write_bytes(
        b"# Experiment Log\r\n\r\n## 2026-01-01 - Observation: x\r\n\r\nno newline at the end"
    )
    named = {"experiment_log": "log.md", "troubleshooting": "fixes.md", **paths}
    (root / ".codex/skills/registry.json").write_text(json.dumps({"paths": named}))
    return load_registry(root)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and ".cairn" not in path.parts
    }


def test_twice_is_once_and_foreign_bytes_stay(tmp_path: Path) -> None:
    registry = make(tmp_path)
    before = (registry.root / "log.md").read_bytes()
    first = apply_plan(registry, PLAN)
    after = tree(tmp_path)
    assert len(first.written) == 4
    assert (registry.root / "log.md").read_bytes().startswith(before)
    assert apply_plan(registry, PLAN).unchanged
    assert tree(tmp_path) == after
    assert not list((registry.root / ".cairn/retro").glob("staged*"))


def test_only_one_change(tmp_path: Path) -> None:
    registry = make(tmp_path)
    assert apply_plan(registry, PLAN, [4]).written == ("log.md",)


def test_a_plan_that_was_edited_is_none(tmp_path: Path) -> None:
    registry = make(tmp_path)
    path = save_plan(registry, PLAN)
    path.write_text(path.read_text().replace("good-name", "evil-name"))
    with pytest.raises(BadInput, match="changed after"):
        load_plan(registry.root, PLAN.id)


def test_a_skill_that_changed_since_is_not_overwritten(tmp_path: Path) -> None:
    registry = make(tmp_path)
    (registry.root / ".codex/skills/good-name").mkdir()
    (registry.root / ".codex/skills/good-name/SKILL.md").write_text("by hand")
    with pytest.raises(TryAgain):
        apply_plan(registry, PLAN)
    assert (registry.root / ".codex/skills/good-name/SKILL.md").read_text() == "by hand"


NAMES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["..", ".", "../x", "a/../../x", "/etc/x", "~", "a\0b", "CON", "good-name/", "Good-Name", "ﬁ",
                     "a" * 90, ".git", "..\\x", "a\nb", "good-name\u200b", "-a", "a--b"]),
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES, kind=st.sampled_from([SKILL, GUIDE, LOG, REGISTRY, "shell", ""]))
def test_no_name_of_a_skill_leads_out(tmp_path_factory: pytest.TempPathFactory, name: str, kind: str) -> None:
    folder = tmp_path_factory.mktemp("p")
    registry = make(folder)
    before = tree(folder)
    data = {LOG: ENTRY, GUIDE: FIX}.get(kind, {"type": "result"})
    try:
        apply_plan(registry, Plan("x", "2026-01-20", [Change(kind, name, TEXT, data=data)]))
    except CairnError:
        assert tree(folder) == before
        return
    new = {path for path, data in tree(folder).items() if before.get(path) != data}
    allowed = {"project/log.md", "project/fixes.md", "project/.codex/skills/registry.json"}
    assert new <= allowed | {f"project/.codex/skills/{name}/SKILL.md"}


def links(root: Path, outside: Path) -> dict[str, tuple[Path, Path]]:
    """Link and what it leads to, for every place that a plan goes through."""
    return {
        "skills folder": (root / ".codex/skills", outside),
        "codex folder": (root / ".codex", outside),
        "skill": (root / ".codex/skills/good-name", outside),
        "file": (root / ".codex/skills/good-name/SKILL.md", outside / "f"),
        "log": (root / "log.md", outside / "f"),
        "guide": (root / "fixes.md", outside / "f"),
        "own folder": (root / ".cairn", outside),
        "staging": (root / ".cairn/retro/staged", outside),
    }


@pytest.mark.parametrize("place", list(links(Path(), Path())))
def test_links_that_lead_out_are_refused(tmp_path: Path, place: str) -> None:
    registry = make(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("mine")
    link, target = links(registry.root, outside)[place]
    if link.is_dir():
        link.rename(link.with_name("away"))
    elif link.exists():
        link.unlink()
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    with pytest.raises(CairnError):
        apply_plan(registry, PLAN)
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"f": "mine"}


@pytest.mark.parametrize("step", ["stage", "journal", "replace"])
def test_a_folder_swapped_for_a_link_while_it_is_written(tmp_path: Path, step: str) -> None:
    registry = make(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    skill = registry.root / ".codex/skills/good-name"

    def swap(name: str) -> None:
        if name.startswith(step) and not skill.is_symlink():
            skill.parent.mkdir(parents=True, exist_ok=True)
            skill.symlink_to(outside)

    with pytest.raises(BadInput):
        apply_plan(registry, PLAN, step=swap)
    assert list(outside.iterdir()) == []


def test_names_that_differ_in_case_only(tmp_path: Path) -> None:
    registry = make(tmp_path)
    (registry.root / ".codex/skills/Good-Name").mkdir()
    with pytest.raises(BadInput, match="only in case"):
        apply_plan(registry, PLAN)


@pytest.mark.parametrize(
    "path",
    ["setup.py", ".git/hooks/pre-commit", "sub/.GIT/config", ".cairn/x.md", "../x.md", "/tmp/x.md", "run.sh"],
)
def test_paths_of_the_registry_that_are_no_log(tmp_path: Path, path: str) -> None:
    with pytest.raises(BadInput):
        apply_plan(make(tmp_path, experiment_log=path), Plan("x", "", [Change(LOG, "s", data=ENTRY)]))
    assert not (tmp_path / "x.md").exists()


@pytest.mark.parametrize(
    "rows", [[["0", "../out.md"]], [["0", "src/x.py"]], [["../../f", "log.md"]], {"a": 1}, [1], "no"]
)
def test_a_journal_that_somebody_else_wrote_writes_nothing(tmp_path: Path, rows: object) -> None:
    registry = make(tmp_path)
    folder = registry.root / ".cairn/retro"
    (folder / "staged").mkdir(parents=True)
    (folder / "staged/0").write_text("evil")
    (folder / "apply.journal").write_text(json.dumps(rows))
    before = tree(tmp_path)
    for act in (recover, finish):
        with pytest.raises(BadInput):
            act(registry)
    assert tree(tmp_path) == before


KILLED = """
import os, sys
from pathlib import Path
from cairn.registry import load_registry
from cairn.retro.apply import apply_plan
from cairn.retro.plan import load_plan
registry = load_registry(Path(sys.argv[1]))
left = int(sys.argv[3])
def step(name):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), 9)
apply_plan(registry, load_plan(registry.root, sys.argv[2]), step=step)
"""


@pytest.mark.parametrize("steps", range(11))
def test_a_kill_leaves_all_or_nothing(tmp_path: Path, steps: int) -> None:
    registry = make(tmp_path)
    save_plan(registry, PLAN)
    before = tree(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(registry.root), PLAN.id, str(steps)],
        check=False,
        capture_output=True,
        timeout=100,
        env={**os.environ, "CAIRN_REGISTRY": ""},
    )
    assert done.returncode == (0 if steps == 10 else -9), done.stderr
    finish(registry)
    found = tree(tmp_path)
    assert not (registry.root / ".cairn/retro/apply.journal").exists()
    assert (found == before) == (steps <= 4), "half of it was written"
    apply_plan(registry, PLAN)
    assert len(tree(tmp_path)) == len(before) + 2
    assert apply_plan(registry, PLAN).unchanged


def test_refuse_outside_lets_the_allowed_pass(tmp_path: Path) -> None:
    registry = make(tmp_path)
    for name in (".codex/skills/a/SKILL.md", "log.md", "fixes.md", ".codex/skills/registry.json"):
        refuse_outside(registry, registry.root / name)
