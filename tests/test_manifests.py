"""The manifests of every host: one version, one name, descriptions that fit, nothing that a host would refuse."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from cairn import __version__

ROOT = Path(__file__).resolve().parent.parent
PLUGINS = {".codex-plugin/plugin.json", ".claude-plugin/plugin.json", "gemini-extension.json"}
MARKETS = {".agents/plugins/marketplace.json", ".claude-plugin/marketplace.json"}
MANIFESTS = sorted(PLUGINS | MARKETS)
COMMON = {"name", "version", "description", "author", "license", "keywords", "hooks"}
KEYS = {
    ".codex-plugin/plugin.json": COMMON | {"skills", "interface"},
    ".claude-plugin/plugin.json": COMMON,  # `interface` would fail its strict validation
    "gemini-extension.json": {"name", "version", "description"},
    ".agents/plugins/marketplace.json": {"name", "interface", "plugins"},
    ".claude-plugin/marketplace.json": {"name", "owner", "description", "plugins"},
}
# characters that a host spends on all descriptions of all packs; ours take a small part of the smallest
SMALLEST_LIST_BUDGET = 8000


def load(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / name).read_text(encoding="utf-8")))


def faults(name: str, data: dict[str, Any]) -> list[str]:
    """What a host would refuse or misread in one manifest."""
    found = [f"unknown key {key}" for key in sorted(data.keys() - KEYS[name])]
    found += [f"missing key {key}" for key in sorted(KEYS[name] - data.keys())]
    entries = [data] if name in PLUGINS else list(data.get("plugins", []))
    if [entry.get("name") for entry in entries] != ["cairn"]:
        found.append("not exactly one plugin named cairn")
    for entry in entries:
        version, description = entry.get("version", __version__), entry.get("description", "x")
        found += [f"version {version}, not {__version__}"] if version != __version__ else []
        found += ["description is empty or long"] if not 0 < len(description) <= 200 else []
        found += ["angle bracket in description"] if re.search("[<>]", description) else []
        found += _path_faults(entry)
    return found


def _path_faults(entry: dict[str, Any]) -> list[str]:
    found = []
    for key in ("skills", "hooks", "source"):
        value = entry.get(key)
        if isinstance(value, str):
            if not value.startswith("./") or ".." in value:
                found.append(f"{key}: {value} is no path below the plugin")
            elif not (ROOT / value).exists() or (ROOT / value).is_symlink():
                found.append(f"{key}: {value} is not there, or a link, which hosts drop")
    return found


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_is_right(name: str) -> None:
    assert faults(name, load(name)) == []


def test_all_manifests_are_looked_at() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(".*/**/plugin.json")}
    found |= {path.relative_to(ROOT).as_posix() for path in ROOT.glob(".*/**/marketplace.json")}
    ours = {name for name in found if not name.startswith((".clients", ".venv", ".cairn"))}
    assert ours | {"gemini-extension.json"} == PLUGINS | MARKETS
    assert not (ROOT / "plugin.json").exists(), "a root plugin.json would win over .codex-plugin in Codex"


def test_the_version_has_one_source() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert 'dynamic = ["version"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("host", ["codex", "claude"])
def test_hooks_are_explicit_and_only_one(host: str) -> None:
    manifest = load(f".{host}-plugin/plugin.json")
    assert manifest["hooks"] == f"./hooks/{host}.json"
    hooks = load(f"hooks/{host}.json")["hooks"]
    assert list(hooks) == ["UserPromptSubmit"]
    (entry,) = hooks["UserPromptSubmit"][0]["hooks"]
    assert re.fullmatch(r'python3 "\$\{\w*PLUGIN_ROOT\}/hooks/prompt_tags.py"', entry["command"])
    assert not (ROOT / "hooks/hooks.json").exists(), "hosts load that one without being told"


def test_default_prompts_fit() -> None:
    prompts = load(".codex-plugin/plugin.json")["interface"]["defaultPrompt"]
    assert 0 < len(prompts) <= 3
    assert all(0 < len(prompt) <= 128 for prompt in prompts)


def test_the_descriptions_of_all_skills_fit_the_smallest_list() -> None:
    texts = [path.read_text(encoding="utf-8").split("---\n")[1] for path in (ROOT / "skills").glob("*/SKILL.md")]
    descriptions = [yaml.safe_load(text)["description"] for text in texts]
    assert len(descriptions) >= 3
    assert sum(map(len, descriptions)) < SMALLEST_LIST_BUDGET / 4
    assert all(len(description) < 500 for description in descriptions)


def changed(key: str, value: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda data: {**data, key: value}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (".codex-plugin/plugin.json", changed("version", "9.9.9")),
        (".codex-plugin/plugin.json", changed("skills", "skills/")),
        (".codex-plugin/plugin.json", changed("hooks", "./hooks/absent.json")),
        (".claude-plugin/plugin.json", changed("interface", {})),
        (".claude-plugin/plugin.json", changed("description", "a <tag>")),
        (".claude-plugin/plugin.json", lambda data: {k: v for k, v in data.items() if k != "hooks"}),
        (".claude-plugin/marketplace.json", changed("plugins", [])),
        ("gemini-extension.json", changed("description", "x" * 300)),
        (".agents/plugins/marketplace.json", changed("plugins", [{"name": "cairn", "source": "../elsewhere"}])),
    ],
)
def test_planted_faults_are_found(name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    assert faults(name, change(load(name)))
