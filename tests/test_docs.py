"""Documentation is generated or checked: no command without help, no stale page, no link to nowhere."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cairn.cli.documentation import walk_commands
from cairn.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ["README.md", "docs/cli.md", "docs/judge.md", "docs/targets.md", "docs/report.md"]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
LINK = re.compile(r"\[[^\]]+\]\((?!https?://|#)([^)#]+)")


def test_every_command_teaches() -> None:
    commands = dict(walk_commands())
    assert len(commands) > 10
    assert {name.split()[1] for name in commands} == set(COMMANDS)
    for name, command in commands.items():
        assert command.help, name
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts}"
        if not isinstance(command, click.Group):
            assert "Example" in command.help, f"{name} shows no example"


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_fresh(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", name], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}; run: make docs"


def test_every_command_is_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()
    for name in COMMANDS:
        assert f"`cairn {name}`" in text, name


def test_links_lead_somewhere() -> None:
    found = 0
    for page in PAGES:
        for target in LINK.findall(page.read_text()):
            found += 1
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
    assert found > 5


def test_the_tree_in_the_readme_is_real() -> None:
    text = (ROOT / "README.md").read_text()
    tree = re.search(r"```text\n(kernels/.*?)```", text, re.S)
    assert tree is not None
    names = [line.split()[0] for line in tree[1].splitlines() if line and not line.startswith(" ")]
    assert len(names) > 6
    for name in names:
        assert (ROOT / name).exists(), name


def test_agent_md_and_agents_md_are_told_apart() -> None:
    assert "AGENTS.md" in (ROOT / "README.md").read_text()
    assert "AGENT.md" in (ROOT / "AGENTS.md").read_text()
