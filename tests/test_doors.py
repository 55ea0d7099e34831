"""The doors in scripts/: from any directory, a folder with a space, in three states, writing nothing there."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOORS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py") if not path.stem.startswith("_"))
VERSION = re.search(r'__version__ = "(.*)"', (ROOT / "src/cairn/__init__.py").read_text())[1]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files without symlinks, as an assistant's plugin cache holds them."""
    folder = tmp_path_factory.mktemp("plugin cache") / "cairn 0"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "scripts", "src"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, copy = ROOT / name, folder / name
        if source.is_file() and not source.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    return folder


@pytest.fixture(scope="module")
def bare_python() -> str:
    """This interpreter without its virtual environment: it has none of cairn's packages."""
    python = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    probe = [python, "-S", "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('msgspec') is not None)"]
    assert subprocess.run(probe, check=False).returncode == 0, "the base interpreter has packages even with -S"
    return python


def listing(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def call(command: list[str], elsewhere: Path, path: str = os.defpath) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": str(elsewhere)}
    return subprocess.run(
        command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def fake_cairn(folder: Path, version: str) -> Path:
    """A program named cairn that answers --version and prints its arguments otherwise."""
    folder.mkdir(parents=True)
    program = folder / "cairn"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "cairn {version}" || echo "called:$*"\n')
    program.chmod(0o755)
    return folder


def test_there_are_doors() -> None:
    assert {"judge", "climb", "learnings", "retro", "doctor"} <= set(DOORS)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_holds_no_logic(door: str) -> None:
    tree = ast.parse((ROOT / "scripts" / f"{door}.py").read_text())
    assert len(tree.body) <= 6  # the docstring and five statements
    assert ast.unparse(tree.body[-1]) == f"run({door!r})"


@pytest.mark.parametrize("door", DOORS)
def test_with_packages_the_code_beside_it_runs(door: str, plugin: Path, tmp_path: Path) -> None:
    before = listing(plugin)
    done = call([sys.executable, str(plugin / "scripts" / f"{door}.py"), "--help"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Usage: cairn {door}")
    assert listing(plugin) == before
    assert list(tmp_path.iterdir()) == []


def test_the_code_beside_it_wins_over_an_installed_one(plugin: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other"
    shutil.copytree(plugin, copy)
    init = copy / "src/cairn/__init__.py"
    init.write_text(init.read_text().replace(VERSION, "98.7.6"))
    marker = 'import sys, _bootstrap; sys.argv = ["x", "--version"]; _bootstrap.run_beside(["--version"])'
    done = call(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(copy / 'scripts')!r}); {marker}"], tmp_path
    )
    assert done.stdout.split()[-1] == "98.7.6"


@pytest.mark.parametrize("door", DOORS)
def test_without_packages_a_cairn_of_the_same_version_takes_over(
    door: str, plugin: Path, tmp_path: Path, bare_python: str
) -> None:
    before = listing(plugin)
    programs = fake_cairn(tmp_path / "bin", VERSION)
    arguments = ["a b", "--json"]
    done = call(
        [bare_python, "-S", str(plugin / "scripts" / f"{door}.py"), *arguments], tmp_path, f"{programs}:/bin"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"called:{door} a b --json\n"
    assert listing(plugin) == before


def test_the_environment_beside_the_scripts_is_used(plugin: Path, tmp_path: Path, bare_python: str) -> None:
    copy = tmp_path / "with venv"
    shutil.copytree(plugin, copy)
    fake_cairn(copy / ".venv" / "bin", VERSION)
    fake_cairn(tmp_path / "bin", "0.0.1")
    done = call([bare_python, "-S", str(copy / "scripts/judge.py"), "run"], tmp_path, f"{tmp_path / 'bin'}:/bin")
    assert done.stdout == "called:judge run\n", done.stderr


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("installed", [None, "0.0.1", f"{VERSION}1"])
def test_without_anything_it_says_how_to_install(
    door: str, installed: str | None, plugin: Path, tmp_path: Path, bare_python: str
) -> None:
    before = listing(plugin)
    path = str(fake_cairn(tmp_path / "bin", installed)) if installed else str(tmp_path)
    done = call([bare_python, "-S", str(plugin / "scripts" / f"{door}.py"), "--help"], tmp_path, f"{path}:/bin")
    assert done.returncode == 69
    assert done.stdout == ""
    assert f"uv tool install --force '{plugin}'" in done.stderr
    assert listing(plugin) == before


@pytest.mark.parametrize("options", [["-I"], ["-P"]])
def test_isolated_interpreters_find_the_bootstrap(options: list[str], plugin: Path, tmp_path: Path) -> None:
    done = call([sys.executable, *options, str(plugin / "scripts/retro.py"), "--help"], tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_relative_path_works(plugin: Path) -> None:
    done = call([sys.executable, "retro.py", "--help"], plugin / "scripts")
    assert done.returncode == 0, done.stderr


def test_an_unreadable_answer_is_no_version(plugin: Path, tmp_path: Path, bare_python: str) -> None:
    programs = fake_cairn(tmp_path / "bin", VERSION)
    (programs / "cairn").write_text("#!/bin/sh\nexit 3\n")
    done = call([bare_python, "-S", str(plugin / "scripts/retro.py")], tmp_path, f"{programs}:/bin")
    assert done.returncode == 69


def test_exit_codes_come_through(plugin: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(plugin / "scripts/learnings.py"), "lint", "--root", str(tmp_path)]
    assert call(command, tmp_path).returncode == 69
    assert call([*command, "--no-such-option"], tmp_path).returncode == 2


def test_the_packages_looked_for_are_those_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=\[ ]", name)[0] for name in project["dependencies"]}
    provided = importlib.metadata.packages_distributions()
    tree = ast.parse((ROOT / "scripts/_bootstrap.py").read_text())
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("PACKAGES", "OLDEST_PYTHON")
    }
    looked_for = {name for package in values["PACKAGES"] for name in map(str.lower, provided[package])}
    assert looked_for == wanted
    assert project["requires-python"] == ">=" + ".".join(map(str, values["OLDEST_PYTHON"]))


def test_a_door_starts_fast(plugin: Path, tmp_path: Path) -> None:
    """Generous for a busy machine; a slow import of jax or numpy would show."""
    command = [sys.executable, str(plugin / "scripts/learnings.py"), "--help"]
    times = []
    for _ in range(3):
        started = time.monotonic()
        call(command, tmp_path)
        times.append(time.monotonic() - started)
    assert min(times) < 1.5
