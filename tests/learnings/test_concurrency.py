"""Real processes and a real git: eight writers at once, two branches that both added F012."""

import subprocess
import sys
from pathlib import Path

import pytest

from cairn.learnings.archive import DEFAULT_MAX_BYTES
from cairn.learnings.edit import NewEntry, add
from cairn.learnings.merge_driver import DRIVER, install_driver
from cairn.learnings.parse import parse, read_text

WRITERS, EACH = 8, 4
WRITER = """
import sys
from pathlib import Path
from cairn.learnings.edit import NewEntry
from cairn.learnings.store import add_to_file
path, who, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
fields = (("Symptom", "s"), ("Root cause", "r"), ("Fix", "f"))
for number in range(count):
    add_to_file(path, [NewEntry("failure", f"by {who}, {number}", fields, "gdn", "2026-05-06")])
"""


def failure(title: str) -> NewEntry:
    return NewEntry("failure", title, (("Symptom", title), ("Root cause", "r"), ("Fix", "f")), "gdn", "2026-05-06")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def test_eight_processes_adding_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "AGENT.md"
    command = [sys.executable, "-c", WRITER, str(path)]
    running = [subprocess.Popen([*command, str(who), str(EACH)]) for who in range(WRITERS)]
    assert [process.wait(60) for process in running] == [0] * WRITERS
    entries = parse(read_text(path)).entries
    assert [entry.id for entry in entries] == [f"F{number:03d}" for number in range(1, WRITERS * EACH + 1)]
    assert len({entry.title for entry in entries}) == WRITERS * EACH
    assert [each.name for each in tmp_path.iterdir()] == ["AGENT.md"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "my project"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "AGENT.md").write_text(add("", [failure(f"lesson {n}") for n in range(1, 12)]).after)
    git(root, "add", "--all")
    git(root, "commit", "-qm", "start")
    return root


def test_git_merges_two_branches_that_both_added_f012(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    path = repository / "AGENT.md"
    assert len(install_driver(path)) == 4
    assert install_driver(path) == []
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "-qm", "driver")
    git(repository, "checkout", "-qb", "side")
    path.write_text(add(path.read_text(), [failure("seen on the side, F012")]).after)
    git(repository, "commit", "-qam", "side")
    git(repository, "checkout", "-q", "main")
    path.write_text(add(path.read_text(), [failure("seen on main")]).after)
    git(repository, "commit", "-qam", "main")
    git(repository, "merge", "-q", "--no-edit", "side")
    entries = parse(path.read_text()).entries
    assert [(entry.id, entry.title) for entry in entries[11:]] == [
        ("F012", "seen on main"),
        ("F013", "seen on the side, F012"),
    ]
    assert entries[12].values("Symptom") == ("seen on the side, F013",)
    assert git(repository, "status", "--porcelain") == ""


def test_the_driver_is_only_announced_on_a_dry_run(repository: Path) -> None:
    announced = install_driver(repository / "AGENT.md", dry_run=True)
    assert announced[-1] == f".gitattributes: /AGENT.archive.md merge={DRIVER}"
    assert not (repository / ".gitattributes").exists()
    assert DEFAULT_MAX_BYTES == 32_768
