"""Settings of git that change while a climb runs: no program that they name is run outside the fence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from climbs import Bench
from fakes import block
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.agents.protocol import EditTask
from cairn.errors import Missing
from cairn.git import Git
from cairn.git_settings import render
from workspace import Workspace


def poison(home: Path, ran: Path) -> None:
    """What an agent can write into the home of its user: a filter for every file, and more."""
    (home / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    evil = f"touch '{ran}'; cat"
    (home / ".gitconfig").write_text(
        f'[core]\n\tattributesFile = {home}/attributes\n\tfsmonitor = "{evil}"\n\thooksPath = {home}\n'
        f'\talternateRefsCommand = "{evil}"\n[diff "evil"]\n\ttextconv = "{evil}"\n\tcommand = "{evil}"\n'
        f'[merge "evil"]\n\tdriver = "{evil}"\n'
        f'[filter "evil"]\n\tsmudge = "{evil}"\n\tclean = "{evil}"\n\trequired = true\n'
    )
    for hook in ("post-checkout", "reference-transaction", "post-commit", "pre-commit"):
        (home / hook).write_text(f"#!/bin/sh\ntouch '{ran}'\n")
        (home / hook).chmod(0o755)


def test_settings_that_an_agent_changes_run_nothing(
    workspace: Workspace, tmp_path: Path, private_home: Path
) -> None:
    ran = tmp_path / "ran"

    def first(task: EditTask) -> None:
        poison(private_home, ran)
        block(16)(task)

    bench = Bench(workspace, first, block(32))
    state = bench.run()
    assert [attempt.decision for attempt in state.decided] == ["kept", "kept"]
    assert not ran.exists()
    # the settings are poisonous: a plain checkout runs them
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_CONFIG")}
    command = ["git", "checkout", "--quiet", "cairn/night"]
    subprocess.run(command, cwd=workspace.root, env=environment, capture_output=True, timeout=60, check=False)
    assert ran.exists()


def test_the_users_own_filter_still_works(workspace: Workspace, private_home: Path) -> None:
    """As Git LFS has one: set for the user, before the climb."""
    config = '[include]\n\tpath = more\n[user]\n\tname = "A \\"quoted\\" name"\n\temail = me@example.org\n'
    (private_home / ".gitconfig").write_text(config)
    (private_home / "more").write_text(
        '[filter "upper"]\n\tsmudge = tr a-z A-Z\n\tclean = tr A-Z a-z\n[core]\n\tignoreCase\n'
    )
    (workspace.root / ".gitattributes").write_text("*.txt filter=upper\n")
    workspace.git("add", ".gitattributes")
    workspace.git("commit", "--quiet", "-m", "attributes")
    seen = []

    def look(task: EditTask) -> None:
        seen.append((task.workdir / "notes.txt").read_text())
        block(16)(task)

    bench = Bench(workspace, look)
    bench.run()
    assert seen == ["COMMITTED\n"]
    author = workspace.git("log", "-1", "--format=%an %ae", "cairn/night").strip()
    assert author == 'A "quoted" name me@example.org'


def test_programs_that_an_agent_puts_on_the_path_are_not_run(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "bin"
    mine.mkdir()
    monkeypatch.setenv("PATH", f"{mine}{os.pathsep}{os.environ['PATH']}")

    def first(task: EditTask) -> None:
        for name in ("git", "rm", "chmod", "python3", "sh"):
            (mine / name).write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
            (mine / name).chmod(0o755)
        block(16)(task)

    state = Bench(workspace, first, block(32)).run()
    assert [attempt.decision for attempt in state.decided] == ["kept", "kept"]
    assert not (tmp_path / "ran").exists()


ODD = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=40)
KEYS = st.tuples(
    st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True),
    ODD,
    st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(KEYS, st.none() | ODD), max_size=6))
def test_what_is_written_is_read_back(
    tmp_path: Path, entries: list[tuple[tuple[str, str, str], str | None]]
) -> None:
    stated = [
        (".".join(part for part in (section, middle.replace("\n", ""), name) if part), value)
        for (section, middle, name), value in entries
    ]
    path = tmp_path / "config"
    path.write_text(render(stated), encoding="utf-8")
    done = subprocess.run(
        ["git", "config", "--file", str(path), "--list", "-z"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    read = [entry.partition("\n") for entry in done.stdout.split("\0")[:-1]]
    assert [(key, value if separator else None) for key, separator, value in read] == stated


pytestmark = pytest.mark.timeout(240)


def test_what_git_refuses_to_read_is_said_in_its_words(workspace: Workspace, private_home: Path) -> None:
    (private_home / ".gitconfig").write_text("[user\n")
    with pytest.raises(Missing, match=r"git does not work in .*: fatal: bad config line 1"):
        Git(workspace.problem)


def test_a_repository_of_the_other_kind_of_hash(workspace: Workspace) -> None:
    shutil.rmtree(workspace.root / ".git")
    workspace.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    workspace.git("add", "--all")
    workspace.git("commit", "--quiet", "-m", "start")
    bench = Bench(workspace, block(16), block(32))
    bench.run()
    assert bench.decisions() == ["kept", "kept"]
    assert [len(commit) for commit in bench.commits()] == [64, 64]


def test_a_path_that_git_cannot_name(tmp_path: Path) -> None:
    folder = tmp_path / "two\nlines"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    with pytest.raises(Missing, match="line break in its path"):
        Git(folder)


def test_a_path_beyond_ascii_in_a_plain_locale(tmp_path: Path) -> None:
    folder = tmp_path / "größe"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    look = "import sys, pathlib; from cairn.git import Git; sys.exit(not Git(pathlib.Path.cwd()).top.is_dir())"
    subprocess.run([sys.executable, "-c", look], cwd=folder, env={**os.environ, **plain}, check=True)
