"""The skills are accepted by every host, and what they tell an assistant to run exists."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
SKILLS = sorted((ROOT / "skills").glob("*/SKILL.md"))
KEYS = {"name", "description", "license", "allowed-tools", "metadata"}
HELPERS = """\
> **Helpers.** This file is `<root>/skills/<name>/SKILL.md`; `<root>` is the folder two levels above its own. Run
> `python3 <root>/scripts/doctor.py --json` first."""


def front_matter(text: str) -> tuple[str, str]:
    """The YAML block and the body."""
    match = re.fullmatch(r"---\n(.*?\n)---\n(.*)", text, re.DOTALL)
    return (match[1], match[2]) if match else ("", text)


def check_front_matter(text: str, name: str) -> list[str]:
    """Faults against the intersection of what all hosts and validators accept."""
    block, _ = front_matter(text)
    if not block:
        return ["no front matter"]
    data = yaml.safe_load(block)
    faults = [f"key {key}" for key in sorted(set(data) - KEYS)]
    if data.get("name") != name or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) or len(name) > 64:
        faults.append("name is not that of the folder")
    if re.search("claude|anthropic", name):
        faults.append("name holds a reserved word")
    if not re.search(r'(?m)^description: "[^"\\]{1,499}"$', block):
        faults.append("description is not one line in double quotes below 500 characters")
    if re.search("[<>]", str(data.get("description"))):
        faults.append("angle bracket in description")
    metadata = data.get("metadata", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        faults.append("metadata is not a map of strings")
    faults += [f"unquoted metadata: {line}" for line in re.findall(r'(?m)^  [\w-]+: (?!").*$', block)]
    faults += [f"flow list: {line}" for line in re.findall(r"(?m)^[\w -]+: *[\[{].*$", block)]
    if "\t" in text or text.startswith("\ufeff"):
        faults.append("tab or byte-order mark")
    return faults


def check_body(text: str) -> list[str]:
    """Faults of the text: size, tokens that one host replaces, paths that depend on the current directory."""
    faults = []
    if text.count("\n") >= 200:
        faults.append("200 lines or more")
    if HELPERS not in text:
        faults.append("no Helpers paragraph")
    faults += [f"forbidden: {token}" for token in ("${", "$ARGUMENTS", "uv run", "[TODO") if token in text]
    faults += [f"bare path: {match}" for match in re.findall(r"(?<!<root>/)\bscripts/[\w.]*", text)]
    faults += [
        f"not called with python3: {line.strip()}"
        for line in text.splitlines()
        if re.search(r"<root>/scripts/\w+\.py", line)
        and len(re.findall(r"python3 <root>/scripts/\w+\.py", line)) != len(re.findall(r"scripts/\w+\.py", line))
    ]
    return faults


def check_commands(text: str) -> list[str]:
    """Doors that a skill names and that do not exist, and options that a command does not have."""
    calls = re.findall(r"python3 <root>/scripts/(\w+)\.py([^\n`]*)", text)
    if not calls:
        return ["names no door"]
    faults = []
    for door, rest in calls:
        if not (ROOT / "scripts" / f"{door}.py").is_file():
            faults.append(f"no door {door}")
            continue
        words = re.match(r"(?: [\w-]+)*", rest.partition(" --")[0])[0].split()
        command = [sys.executable, str(ROOT / "scripts" / f"{door}.py"), *words]
        asked = subprocess.run([*command, "--help"], capture_output=True, text=True, check=False)
        faults += [f"{door}{rest}: {asked.stderr}"] if asked.returncode else []
        options = re.findall(r"--[a-z][a-z-]*", rest)
        faults += [f"{door} has no {option}" for option in options if not re.search(rf"{option}\b", asked.stdout)]
    return faults


VALIDATORS = {"skills-ref": ("agentskills", "validate"), "skillcheck": ("skillcheck", "--strict", "--no-color")}


def validate(package: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask a validator of a development package, with no warning allowed."""
    name, *options = VALIDATORS[package]
    program = Path(sys.executable).with_name(name)
    assert program.exists(), f"{name} (package {package}) is not installed: make setup"
    return subprocess.run([str(program), *options, str(folder)], capture_output=True, text=True, check=False)


def test_the_four_skills_are_found() -> None:
    assert {path.parent.name for path in SKILLS} == {"advise", "hill-climb", "record-learnings", "retrospective"}
    assert not [path for path in (ROOT / "skills").rglob("*") if path.is_symlink() and path.name == "SKILL.md"]


@pytest.mark.parametrize("path", SKILLS, ids=lambda path: path.parent.name)
def test_front_matter(path: Path) -> None:
    assert check_front_matter(path.read_text(encoding="utf-8"), path.parent.name) == []


@pytest.mark.parametrize("path", SKILLS, ids=lambda path: path.parent.name)
def test_body(path: Path) -> None:
    assert check_body(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SKILLS, ids=lambda path: path.parent.name)
def test_what_it_calls_exists(path: Path) -> None:
    assert check_commands(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("package", VALIDATORS)
@pytest.mark.parametrize("path", SKILLS, ids=lambda path: path.parent.name)
def test_validators_accept_it(path: Path, package: str) -> None:
    done = validate(package, path.parent)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_helpers_paragraph_is_the_same_everywhere() -> None:
    paragraphs = {re.search(r"(?ms)^> \*\*Helpers.*?\n\n", path.read_text(encoding="utf-8"))[0] for path in SKILLS}
    assert len(paragraphs) == 1


def test_loop_rules_come_first_in_hill_climb() -> None:
    text = (ROOT / "skills/hill-climb/SKILL.md").read_text(encoding="utf-8")
    assert re.search(r"(?m)^# .*\n\n## Rules", text)
    assert text.index("## Rules") < text.index("**Helpers.**")


def test_the_entries_that_record_learnings_shows_can_be_added(tmp_path: Path) -> None:
    text = (ROOT / "skills/record-learnings/SKILL.md").read_text(encoding="utf-8")
    example = re.search(r'(?ms)^    (\[\{"type".*?\}\}\])$', text)
    assert example
    (tmp_path / "registry.json").write_text("{}")
    (tmp_path / "new.json").write_text(example[1])
    door = [sys.executable, str(ROOT / "scripts/learnings.py")]
    for command in (["add", "--from", "new.json"], ["lint"]):
        done = subprocess.run([*door, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "### [S001]" in (tmp_path / "AGENT.md").read_text(encoding="utf-8")


GOOD = f'---\nname: a-b\ndescription: "Does it. Use when asked."\nmetadata:\n  tags: "x, y"\n---\n\n{HELPERS}\n'
SHORT = HELPERS.splitlines()[0]
PLANTED: list[tuple[str, Callable[[str], list[str]], str, str]] = [
    ("foreign key", lambda text: check_front_matter(text, "a-b"), "name: a-b", "name: a-b\nhooks: x"),
    ("other name", lambda text: check_front_matter(text, "a-b"), "name: a-b", "name: a-c"),
    (
        "folded description",
        lambda text: check_front_matter(text, "a-b"),
        '"Does it. Use when asked."',
        ">\n  Does",
    ),
    ("angle bracket", lambda text: check_front_matter(text, "a-b"), "Does it", "Does <it>"),
    ("long description", lambda text: check_front_matter(text, "a-b"), "Does it", "x" * 500),
    ("nested list", lambda text: check_front_matter(text, "a-b"), '"x, y"', "[x, y]"),
    ("tab", lambda text: check_front_matter(text, "a-b"), "\n\n", "\n\t\n"),
    ("no front matter", lambda text: check_front_matter(text, "a-b"), "---\nname", "name"),
    ("long", check_body, "\n\n", "\n" * 200),
    ("no paragraph", check_body, SHORT, ""),
    ("replaced token", check_body, "\n\n", "\n${CLAUDE_PLUGIN_ROOT}\n"),
    ("uv", check_body, "\n\n", "\nuv run x\n"),
    ("bare path", check_body, "\n\n", "\npython3 scripts/judge.py\n"),
    ("no python3", check_body, "\n\n", "\n<root>/scripts/judge.py\n"),
    ("unknown door", check_commands, "doctor.py", "dcotor.py"),
    ("unknown option", check_commands, "doctor.py --json", "learnings.py list --jsno"),
    ("unknown command", check_commands, "doctor.py --json", "learnings.py lits --json"),
    ("no door", check_commands, "python3", "python"),
]


@pytest.mark.parametrize(("check", "old", "new"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_planted_faults_are_found(check: Callable[[str], list[str]], old: str, new: str) -> None:
    good = (
        GOOD.replace("doctor.py", "learnings.py list") if check is check_commands and "doctor" not in old else GOOD
    )
    assert old in good
    assert check(good.replace(old, new, 1)) != []


def test_a_good_skill_passes_the_checkers() -> None:
    assert check_front_matter(GOOD, "a-b") == []
    assert check_body(GOOD) == []
    assert check_commands("python3 <root>/scripts/learnings.py list --json") == []


@pytest.mark.parametrize("package", VALIDATORS)
def test_validators_refuse_a_fault(package: str, tmp_path: Path) -> None:
    skill = tmp_path / "a-b"
    skill.mkdir()
    good = GOOD.replace("Does it.", "Checks parts and reports which of them do not fit.")
    (skill / "SKILL.md").write_text(good)
    assert validate(package, skill).returncode == 0, validate(package, skill).stdout
    (skill / "SKILL.md").write_text(good.replace("name: a-b", "name: other"))
    assert validate(package, skill).returncode == 1
