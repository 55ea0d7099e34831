"""Documentation is generated or checked: no command without help, no stale page, no link to nowhere."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cairn.cli.documentation import walk_commands
from cairn.cli.main import COMMANDS, cairn

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ["README.md", "docs/cli.md", "docs/judge.md", "docs/targets.md", "docs/report.md", "docs/formats.md"]
GENERATED += ["docs/climb.md", "docs/agents.md", "docs/gdnctl.md"]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
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


def called(text: str) -> list[list[str]]:
    """The words of every line of a page's shell blocks that begins with `cairn`, comments left out."""
    blocks = re.findall(r"(?ms)^```sh[^\n]*\n(.*?)^```", text)
    lines = [line for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.startswith("cairn ")]


def unknown_words(words: list[str]) -> list[str]:
    """Commands and options of a line that do not exist."""
    command: click.Command = cairn
    context = click.Context(cairn, info_name="cairn")
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            break
        command, rest = found, rest[1:]
    if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        if command.name != "climb":  # `cairn climb PROBLEM` is `cairn climb run PROBLEM`
            return rest[:1]
        command = command.commands["run"]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    known |= {"--help", "-h", "--version"}
    return [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]


def test_commands_on_the_pages_exist() -> None:
    seen = 0
    for page in PAGES:
        for words in called(page.read_text(encoding="utf-8")):
            seen += 1
            assert unknown_words(words) == [], f"{page.name}: {shlex.join(words)}"
    assert seen > 50


@pytest.mark.parametrize(
    "line", ["cairn clim x", "cairn climb x --attemps 3", "cairn judge rnu x", "cairn watch --twice"]
)
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    assert unknown_words(shlex.split(line)) != []


def build_site(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder), *arguments]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_site_builds_and_every_link_in_it_leads_somewhere(tmp_path: Path) -> None:
    """Strict: a page outside the navigation, a link or an anchor to nowhere is an error of the build."""
    done = build_site([], tmp_path)
    assert done.returncode == 0, done.stderr
    pages = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")
    }
    built = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert (pages - {"case-studies/README.html"}) | {"problems.html", "changelog.html"} <= built
    assert "https://fonts." not in (tmp_path / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", ["[x](nowhere.md)", "[x](index.md#nowhere)", "[x](other.md)"])
def test_a_broken_link_ends_the_build(fault: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"# Title\n\n{fault}\n")
    settings = f"INHERIT: {ROOT / 'mkdocs.yml'}\nhooks: []\ndocs_dir: {tmp_path / 'docs'}\nnav: [index.md]\n"
    (tmp_path / "mkdocs.yml").write_text(settings)
    done = build_site(["--config-file", str(tmp_path / "mkdocs.yml")], tmp_path / "site")
    assert done.returncode == 1, done.stderr
