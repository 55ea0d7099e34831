"""The pack in the real assistants: added, listed whole, called by its tag and by its name, its helpers run.

Every model is scripted on loopback and every home is thrown away. What is proven is what an assistant is *shown* and
that the helpers work from where it put them; whether a real model follows is measured elsewhere (benchmarks).
"""

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugin_copy import ROOT, copy_pack, listing
from scripted.clients import DIALECTS, client_environment, find_client
from scripted.codex_home import find_codex, write_codex_home
from scripted.server import ScriptedModel
from scripted.turns import Reply, Say, Scenario, Shell
from workspace import TOY, git

pytestmark = pytest.mark.client
SKILLS = {
    path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])["description"]
    for path in sorted((ROOT / "skills").glob("*/SKILL.md"))
}
MODELS = {"claude": "claude-opus-4-8", "gemini": "gemini-2.5-pro"}


def needs(name: str) -> pytest.MarkDecorator:
    found = find_codex() if name == "codex" else find_client(name)
    return pytest.mark.skipif(found is None, reason=f"no {name} in .clients/node_modules/.bin or PATH")


def run(command: list[str], environment: Mapping[str, str], cwd: Path) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**environment, "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_pack(tmp_path_factory.mktemp("where it lies") / "cairn käfig 1")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The user's project: a repository with a problem and a report, in a folder with a space."""
    root = tmp_path / "my project"
    shutil.copytree(TOY, root / "kernels/axpy", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "docs/reports").mkdir(parents=True)
    (root / "docs/reports/2026-11-03-axpy-blocks.md").write_text("# Axpy blocks\n\n2026-11-03: 64 rows won.\n")
    registry = {"domain": "pallas", "paths": {"reports": "docs/reports", "experiment_log": "docs/log.md"}}
    (root / "registry.json").write_text(json.dumps(registry))
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")
    return root


def first_skill(output: str) -> str:
    """What the script for a paid trigger run would count, so that it is tried on the events of a real client."""
    spec = importlib.util.spec_from_file_location("triggers_benchmark", ROOT / "benchmarks/triggers.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.first_skill(output.splitlines()))


def helper(root: str, name: str, *arguments: str) -> str:
    """What a skill says to run, with this interpreter as python3."""
    return f"{shlex.quote(sys.executable)} {shlex.quote(f'{root}/scripts/{name}.py')} {shlex.join(arguments)}"


def follows(root: str, *, when: str) -> Scenario:
    """A model that reads the retrospective's text, runs its first steps, and looks at what came back."""
    skill = shlex.quote(f"{root}/skills/retrospective/SKILL.md")
    return Scenario(
        [
            Reply([Shell(f"cat {skill}")]),
            Reply([Shell(f"pwd && {helper(root, 'retro', 'candidates', 'axpy blocks', '--json')}")]),
            Reply([Shell(helper(root, "learnings", "list", "--json"))], expect=r"2026-11-03-axpy-blocks\.md"),
            Reply([Say("done")], expect=r"entries"),
        ],
        when,
    )


@needs("codex")
def test_codex_installs_lists_and_calls(pack: Path, project: Path, tmp_path: Path) -> None:
    before = listing(pack)
    with ScriptedModel([]) as model:
        home = write_codex_home(tmp_path / "home", model.port)
        home.config.write_text(home.config.read_text().replace("plugins = false", "plugins = true"))
        assert "cairn" in run(["codex", "plugin", "marketplace", "add", str(pack)], home.environment, project)
        run(["codex", "plugin", "add", "cairn@cairn"], home.environment, project)
        (listed,) = json.loads(run(["codex", "plugin", "list", "--json"], home.environment, project))["installed"]
        assert (listed["name"], listed["enabled"]) == ("cairn", True)
        cache = home.codex_home / "plugins/cache/cairn/cairn" / listed["version"]

        shown = run(["codex", "debug", "prompt-input", "hello"], home.environment, project)
        text = json.loads(json.dumps(shown)).replace('\\"', '"')
        for name, description in SKILLS.items():
            assert f"- cairn:{name}: {description}" in text, f"{name} is not listed whole"

        model.scenarios += [follows(str(cache), when="retrospective"), follows(str(cache), when="hill-climb")]
        cached = listing(cache)
        for prompt in ("<retrospective> the axpy blocks", "use $cairn:hill-climb on kernels/axpy"):
            events = run(["codex", "exec", "--json", "-s", "workspace-write", prompt], home.environment, project)
            assert first_skill(events) == "retrospective"
        assert model.unplayed() == []
        validator = home.codex_home / "skills/.system/skill-creator/scripts/quick_validate.py"
        for name in SKILLS:
            run([sys.executable, str(validator), str(cache / "skills" / name)], home.environment, project)
    bodies = [json.dumps(request.body, ensure_ascii=False) for request in model.requests]
    assert any("<name>cairn:hill-climb</name>" in body for body in bodies), "$name did not bring the skill's text"
    assert any(str(project) in body for body in bodies), "helpers ran elsewhere"
    assert listing(cache) == cached, "a helper wrote into the plugin cache"
    assert listing(pack) == before
    assert git(project, "status", "--short") == ""


@needs("codex")
def test_the_hook_speaks_in_codex_once_it_is_trusted(pack: Path, project: Path, tmp_path: Path) -> None:
    with ScriptedModel([Scenario([Reply([Say("yes")])]), Scenario([Reply([Say("no")])])]) as model:
        home = write_codex_home(tmp_path / "home", model.port)
        home.config.write_text(home.config.read_text().replace("plugins = false", "plugins = true\nhooks = true"))
        run(["codex", "plugin", "marketplace", "add", str(pack)], home.environment, project)
        run(["codex", "plugin", "add", "cairn@cairn"], home.environment, project)
        for prompt in ("<retrospective> blocks", "explain <retrospective>"):
            run(["codex", "exec", "--dangerously-bypass-hook-trust", prompt], home.environment, project)
    told = ["load that skill and follow its rules" in json.dumps(request.body) for request in model.requests]
    assert told == [True, False]


@needs("claude")
def test_claude_code_installs_lists_and_calls(pack: Path, project: Path, tmp_path: Path) -> None:
    with ScriptedModel([], DIALECTS["claude"]()) as model:
        environment = client_environment("claude", tmp_path / "home", model.url)
        for target in (pack, pack / ".claude-plugin/plugin.json"):
            said = run(["claude", "plugin", "validate", "--strict", str(target)], environment, project)
            assert all(f"cairn:{name}" in said for name in SKILLS)
        run(["claude", "plugin", "marketplace", "add", str(pack)], environment, project)
        run(["claude", "plugin", "install", "cairn@cairn"], environment, project)
        (listed,) = json.loads(run(["claude", "plugin", "list", "--json"], environment, project))
        root = str(listed["installPath"])
        model.scenarios += [follows(root, when="axpy blocks"), follows(root, when="kernels/axpy")]
        tools = ["--model", MODELS["claude"], "--allowedTools", "Bash", "--output-format", "stream-json"]
        for prompt in ("<retrospective> the axpy blocks", "/cairn:hill-climb kernels/axpy"):
            events = run(["claude", "-p", prompt, *tools, "--verbose"], environment, project)
            assert first_skill(events) == "retrospective"
            answer = json.loads(events.splitlines()[-1])
            assert (answer["result"], answer["permission_denials"]) == ("done", [])
        assert model.unplayed() == []
    seen = [model.dialect.visible(request.body) for request in model.requests if request.scenario is not None]
    for name, description in SKILLS.items():
        assert any(f"cairn:{name}: {description}" in text for text in seen), f"{name} is not listed whole"
    assert any("load that skill and follow its rules" in text for text in seen), "the hook was not heard"
    assert any("Base directory for this skill" in text for text in seen), "/name did not bring the skill's text"
    assert any(str(project) in text for text in seen)


@needs("gemini")
def test_gemini_installs_lists_and_calls(pack: Path, project: Path, tmp_path: Path) -> None:
    with ScriptedModel([], DIALECTS["gemini"]()) as model:
        environment = client_environment("gemini", tmp_path / "home", model.url)
        trusted = tmp_path / "home/.gemini/trustedFolders.json"
        trusted.write_text(json.dumps({str(pack): "TRUST_FOLDER"}))  # at a terminal the client asks for this
        run(["gemini", "extensions", "install", str(pack), "--consent", "--skip-settings"], environment, project)
        root = str(tmp_path / "home/.gemini/extensions/cairn")
        model.scenarios.append(follows(root, when="axpy blocks"))
        options = ["--skip-trust", "-y", "-o", "json", "-m", MODELS["gemini"]]
        answer = json.loads(
            run(["gemini", *options, "-p", "<retrospective> the axpy blocks"], environment, project)
        )
        assert answer["response"] == "done"
        assert model.unplayed() == []
    seen = [json.dumps(request.body, ensure_ascii=False) for request in model.requests]
    for name, description in SKILLS.items():
        assert any(re.search(rf"{name}.{{0,80}}{re.escape(description)}", text) for text in seen), name


@needs("opencode")
def test_opencode_finds_copied_skills(pack: Path, project: Path, tmp_path: Path) -> None:
    shutil.copytree(pack / "skills", project / ".agents/skills")
    with ScriptedModel([Scenario([Reply([Say("done")])])], DIALECTS["opencode"]()) as model:
        environment = client_environment("opencode", tmp_path / "home", model.url)
        run(["opencode", "run", "--format", "json", "-m", "scripted/m1", "hello"], environment, project)
    seen = "".join(json.dumps(request.body, ensure_ascii=False) for request in model.requests)
    assert all(description in seen for description in SKILLS.values())
