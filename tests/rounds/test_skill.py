"""The whole skill as an assistant carries it out: the real Codex client, a scripted model, a GitHub on loopback."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("github", reason="PyGithub is not installed (extra: github)")

from fake_github.server import FakeGitHub
from rounds.runs import plan
from rounds.test_record import Project
from scripted.codex_home import find_codex, write_codex_home
from scripted.server import ScriptedModel
from scripted.turns import Reply, Say, Scenario, Shell, Write
from workspace import git

ROOT = Path(__file__).resolve().parent.parent.parent
CODEX = find_codex()


def door(name: str, *arguments: object) -> str:
    return shlex.join([sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)])


@pytest.mark.client
@pytest.mark.skipif(
    CODEX is None, reason="no codex client in $CAIRN_TEST_CODEX, .clients/node_modules/.bin or PATH"
)
def test_one_write_one_commit_one_comment(tmp_path: Path) -> None:
    project = Project(tmp_path / "my project")
    folder = project.run_dir / "iteration_2"
    record = door("round", "record", folder / "plan.json", "--json")
    with FakeGitHub() as hub:
        where = ["--repo", "octo/kernels", "--issue", "7", "--api", hub.url]
        post = f"GITHUB_TOKEN={hub.token} {door('comment', 'post', folder / 'comment.md', *where, '--json')}"
        actions = [
            Shell(door("round", "digest", project.run_dir, "--round", "2", "--json")),
            Write(str(folder / "plan.json"), json.dumps(plan(project.run_dir))),
            Shell(record),
            Shell(post),
            Shell(f"{record} && {post}"),  # an assistant that lost count
            Say("Recorded F001 and S001; AGENT.md is committed and the comment is posted."),
        ]
        with ScriptedModel([Scenario([Reply([action]) for action in actions])]) as model:
            home = write_codex_home(tmp_path / "home", model.port)
            command = [
                "codex",
                "exec",
                "-C",
                str(project.root),
                "-s",
                "danger-full-access",
                "record round 2",
            ]
            done = subprocess.run(
                command, env=dict(home.environment), capture_output=True, text=True, check=False, timeout=100
            )
        assert done.returncode == 0, done.stderr
        assert len(hub.comments) == 1
        assert hub.written() == ["POST /repos/octo/kernels/issues/7/comments"]
        assert hub.comments[0]["body"] == (folder / "comment.md").read_text().strip()
    assert project.subjects() == ["docs(agent): record learnings from gdn round 2", "start"]
    assert git(project.root, "show", "--name-only", "--format=", "HEAD").split() == ["AGENT.md"]
    text = project.agent_md.read_text()
    assert (text.count("### [F001]"), text.count("### [S001]"), text.count("### ")) == (1, 1, 2)
    assert (project.root / "notes.txt").read_text() == "the user's unsaved thought\n"
