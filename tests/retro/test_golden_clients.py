"""The golden projects with the real Codex and Claude Code: from the user's request to a skill that they list.

Two conversations, as in life: the first ends with a plan that nobody has approved, the second applies it. The models
are scripted on loopback; what is proven is that the steps of the skill's text work where an assistant runs them.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from plugin_copy import copy_pack
from retro.golden import DOMAINS, Golden, golden
from scripted.clients import DIALECTS, client_environment, find_client
from scripted.codex_home import find_codex, write_codex_home
from scripted.server import ScriptedModel
from scripted.turns import Reply, Say, Scenario, Shell, Write

pytestmark = pytest.mark.client
HEADINGS = ("What we tried", "Key findings", "What failed", "Open questions")
TEMPLATE = "skills/retrospective/assets/result-skill-template.md"


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_pack(tmp_path_factory.mktemp("pack") / "cairn")


@pytest.fixture(params=DOMAINS)
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Golden:
    return golden(request.param, tmp_path)


def run(command: list[str], environment: Mapping[str, str], cwd: Path) -> str:
    quiet = {**environment, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=quiet,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def helper(pack: Path, *arguments: str) -> str:
    return shlex.join([sys.executable, f"{pack}/scripts/retro.py", *arguments])


def until_the_plan(pack: Path, project: Golden) -> Scenario:
    """Steps 1 to 5 of the skill, until the user has to be asked."""
    answers, name = project.answers, project.skill
    files = ["--skill", f"drafts/{name}/SKILL.md", "--guide", "guide.yaml"]
    return Scenario(
        [
            Reply([Shell(f"cat {shlex.quote(f'{pack}/skills/retrospective/SKILL.md')}")]),
            Reply([Shell(helper(pack, "collect", "--json"))], expect="Never"),
            Reply([Shell(helper(pack, "candidates", "--json"))], expect='new_total": [1-9]'),
            Reply([Shell(helper(pack, "compare", "--limit", "3", "--json"))], expect='"candidates"'),
            Reply([Write("summary.md", (answers / "summary.md").read_text())], expect="leaderboards"),
            Reply([Shell(helper(pack, "check", "summary.md", "--json"))]),
            Reply(
                [Shell(f"cat {shlex.quote(f'{pack}/{TEMPLATE}')}; mkdir -p drafts/{name}")], expect='"ok": true'
            ),
            Reply([Write(f"drafts/{name}/SKILL.md", (answers / "skill.md").read_text())]),
            Reply([Write("guide.yaml", (answers / "guide.yaml").read_text())]),
            Reply([Shell(helper(pack, "propose", "summary.md", "--subject", "golden", *files, "--json"))]),
            Reply([Say("Here is the plan; shall I apply it?")], expect=r'"plan": "P-[0-9a-f]{10}"'),
        ],
        "the whole project",
    )


def after_approval(pack: Path, plan: str) -> Scenario:
    commands = [helper(pack, "diff", plan), helper(pack, "apply", "--approve", plan, "--json")]
    return Scenario(
        [*[Reply([Shell(each)]) for each in commands], Reply([Say("written")], expect="written")], plan
    )


def the_plan(project: Golden) -> str:
    (plan,) = (project.root / ".cairn/retro/plans").glob("P-*.json")
    return plan.stem


def check_written(project: Golden, plan: str) -> None:
    assert project.skills_written(), "nothing was written after approval"
    log = (project.root / "references/experiment-log.md").read_text()
    assert log.count("cairn:retro") == 1
    assert all(heading in log for heading in HEADINGS)
    assert plan == the_plan(project)


@pytest.mark.skipif(find_codex() is None, reason="no codex in .clients/node_modules/.bin or PATH")
def test_codex(pack: Path, project: Golden, tmp_path: Path) -> None:
    with ScriptedModel([until_the_plan(pack, project)]) as model:
        home = write_codex_home(tmp_path / "home", model.port)
        request = "<retrospective> the whole project"
        run(["codex", "exec", "-s", "workspace-write", request], home.environment, project.root)
        assert model.unplayed() == []
        assert project.skills_written() == [], "a skill was written before anybody approved it"
        plan = the_plan(project)
        model.scenarios.append(after_approval(pack, plan))
        approved = ["codex", "exec", "-s", "danger-full-access", f"I approve {plan}: apply it"]
        run(approved, home.environment, project.root)
        assert model.unplayed() == []
        check_written(project, plan)
        listed = run(["codex", "debug", "prompt-input", "hello"], home.environment, project.root)
        assert f"- {project.skill}: " in listed
        validator = home.codex_home / "skills/.system/skill-creator/scripts/quick_validate.py"
        for path in project.skills_written():
            run([sys.executable, str(validator), str(path.parent)], home.environment, project.root)


@pytest.mark.skipif(find_client("claude") is None, reason="no claude in .clients/node_modules/.bin or PATH")
@pytest.mark.parametrize("project", ["research", "pallas"], indirect=True)  # both ways of keeping skills
def test_claude_code(pack: Path, project: Golden, tmp_path: Path) -> None:
    if (project.root / ".codex").is_dir():  # as the packs that set such projects up leave it
        (project.root / ".claude").mkdir()
        (project.root / ".claude/skills").symlink_to("../.codex/skills")
    options = ["--model", "claude-opus-4-8", "--allowedTools", "Bash", "--output-format", "json"]
    with ScriptedModel([until_the_plan(pack, project)], DIALECTS["claude"]()) as model:
        environment = client_environment("claude", tmp_path / "home", model.url)

        def ask(prompt: str) -> None:
            answer = json.loads(
                run(["claude", "-p", prompt, "--plugin-dir", str(pack), *options], environment, project.root)
            )
            assert answer["permission_denials"] == []
            assert model.unplayed() == []

        ask("<retrospective> the whole project")
        assert project.skills_written() == []
        plan = the_plan(project)
        model.scenarios.append(after_approval(pack, plan))
        ask(f"I approve {plan}: apply it")
        check_written(project, plan)
        model.scenarios.append(Scenario([Reply([Say("hello")])], "hello"))
        ask("hello")
    seen = "".join(model.dialect.visible(request.body) for request in model.requests[-2:])
    assert f"- {project.skill}: " in seen, "the new skill is not listed"
