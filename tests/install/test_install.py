"""The pack as it is installed: a wheel in a bare environment, a source archive, doors from a read-only folder."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from plugin_copy import ROOT, copy_pack, listing, make_read_only
from scripted.codex_home import find_codex, write_codex_home
from workspace import TOY, git

DOORS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py") if not path.stem.startswith("_"))
# data files, which a wheel without them would only miss at run time
DATA = {
    path.relative_to(ROOT / "src").as_posix()
    for path in (ROOT / "src/cairn").rglob("*")
    if path.is_file() and path.suffix not in (".py", ".pyc")
}


def run(command: list[str], cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=dict(environment), capture_output=True, text=True, check=False, timeout=110
    )


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and source archive, built from a copy without git and without network."""
    folder = tmp_path_factory.mktemp("build")
    pack = copy_pack(folder / "source tree")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "dist")]
    done = run(command, pack, {"PATH": os.environ["PATH"], "HOME": str(folder)})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def installed(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare environment with the wheel in it; its dependencies are those of this one."""
    venv = tmp_path_factory.mktemp("empty home") / "tool käfig"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, timeout=100)
    (wheel,) = archives.glob("*.whl")
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, timeout=100)
    (packages,) = (venv / "lib").glob("python*/site-packages")
    shared = sysconfig.get_path("purelib")
    (packages / "shared.pth").write_text(f"{shared}\n")
    assert (packages / "cairn").is_dir()
    return venv


def test_the_wheel_has_the_data_and_nothing_else(archives: Path) -> None:
    (wheel,) = archives.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert len(DATA) > 10
    assert names >= DATA
    assert {name.split("/")[0].split("-")[0] for name in names} == {"cairn", "kernel_cairn"}
    assert not [name for name in names if name.endswith((".pyc", ".so"))]


def test_the_source_archive_is_complete(archives: Path) -> None:
    (archive,) = archives.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "src/cairn/__init__.py"} <= names
    assert {f"src/{name}" for name in DATA} <= names


def test_the_command_works_in_a_bare_environment(installed: Path, tmp_path: Path) -> None:
    bare = {"PATH": f"{installed}/bin:/usr/bin:/bin", "HOME": str(tmp_path.parent)}
    where = run([f"{installed}/bin/python", "-c", "import cairn; print(cairn.__file__)"], tmp_path, bare)
    assert where.stdout.startswith(str(installed)), "this would test the checkout, not the wheel"
    for arguments in (
        ["--version"],
        ["init", "--dry-run"],
        ["learnings", "lint", "--json"],
        ["problem", "--help"],
    ):
        done = run([f"{installed}/bin/cairn", *arguments], tmp_path, bare)
        assert done.returncode in (0, 69), done.stderr
        assert "Traceback" not in done.stderr


def test_a_door_hands_over_to_the_installed_command(installed: Path, tmp_path: Path) -> None:
    """As right after `uv tool install`: python3 has none of the packages, the command on PATH has."""
    pack = copy_pack(tmp_path / "plugin cache")
    bare = {"PATH": f"{installed}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    python = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    done = run([str(python), "-S", str(pack / "scripts/doctor.py"), "--json"], tmp_path, bare)
    assert done.returncode == 0, done.stderr
    assert "commands" in json.loads(done.stdout)


def test_no_numpy_is_said_with_its_cure(tmp_path: Path) -> None:
    """The base install has none; blocking the import is what its absence looks like."""
    blocked = "import sys; sys.modules['numpy'] = None; from cairn.cli.main import main; main()"
    command = [sys.executable, "-c", blocked]
    where = {"PATH": os.environ["PATH"], "HOME": str(tmp_path.parent)}
    done = run([*command, "judge", "run", str(TOY), "--variant", "pallas_axpy"], tmp_path, where)
    assert done.returncode == 69
    assert "kernel-cairn[judge]" in done.stderr
    for other in (["learnings", "list"], ["init", "--dry-run"], ["retro", "--help"], ["doctor", "--json"]):
        done = run([*command, *other], tmp_path, where)
        assert done.returncode == 0, done.stderr


def base_distributions() -> dict[str, importlib.metadata.Distribution]:
    """Everything that an install without extras brings, by name; markers of other machines are left out."""
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = ["kernel-cairn"]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = importlib.metadata.distribution(name)
            lines = [line for line in found[name].requires or [] if "extra ==" not in line and "win32" not in line]
            wanted += [re.split(r"[^\w.-]", line)[0].lower() for line in lines]
    return found


def test_the_base_install_is_small() -> None:
    """Below 30 MB as `uv tool install` leaves it (no bytecode), and neither numpy nor jax is in it."""
    found = base_distributions()
    assert {"click", "rich", "msgspec"} < found.keys()
    assert not {"numpy", "jax", "jinja2", "matplotlib"} & found.keys()
    ours = sum(
        path.stat().st_size for path in (ROOT / "src").rglob("*") if path.is_file() and path.suffix != ".pyc"
    )
    files = [file for name, each in found.items() if name != "kernel-cairn" for file in each.files or []]
    sizes = [
        Path(file.locate()).stat().st_size
        for file in files
        if file.suffix != ".pyc" and Path(file.locate()).exists()
    ]
    assert len(sizes) > 100
    assert ours + sum(sizes) < 30e6


@pytest.mark.parametrize("door", DOORS)
def test_every_door_from_a_read_only_copy(door: str, read_only_pack: Path, tmp_path: Path) -> None:
    before = listing(read_only_pack)
    done = run(
        [sys.executable, str(read_only_pack / "scripts" / f"{door}.py"), "--help"],
        tmp_path,
        {"PATH": os.defpath, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout
    assert listing(read_only_pack) == before


@pytest.fixture(scope="module")
def read_only_pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pack = copy_pack(tmp_path_factory.mktemp("plugin cache") / "cairn käfig 0.1")
    make_read_only(pack)
    return pack


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "my project"
    shutil.copytree(TOY, root / "kernels/axpy", ignore=shutil.ignore_patterns("__pycache__"))
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")
    return root


@pytest.mark.client
@pytest.mark.tpu_compiler
@pytest.mark.skipif(find_codex() is None, reason="no codex in .clients/node_modules/.bin or PATH")
def test_doors_in_codexs_own_sandbox(read_only_pack: Path, project: Path, tmp_path: Path) -> None:
    """`workspace-write`, as Codex runs commands by default: what needs no privilege works, the rest says which."""
    home = write_codex_home(tmp_path / "home", 9)
    sandbox = ["codex", "sandbox", "-c", 'sandbox_mode="workspace-write"', "--"]

    def door(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*sandbox, sys.executable, str(read_only_pack / "scripts" / f"{name}.py"), *arguments]
        done = run(command, project, home.environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    refused = run([*sandbox, "touch", ".git/x"], project, home.environment)
    assert "Read-only file system" in refused.stderr, "the sandbox does not hold here, so this would prove nothing"

    found = json.loads(door("doctor", "--json").stdout)["findings"]
    refusals = {finding["name"]: finding["fix"] for finding in found if not finding["ok"]}
    assert "--add-dir" in refusals["git-writable"]
    assert "network_access=true" in refusals["sockets"]

    adopted = door("init", "--json")
    assert adopted.returncode == 75
    assert all(line.startswith("git -C ") for line in json.loads(adopted.stdout)["pending"])
    assert (project / "registry.json").exists()
    assert door("learnings", "lint", "--json").returncode == 0
    judged = door("judge", "run", "kernels/axpy", "--variant", "pallas_axpy", "--target", "tpu-v5p", "--json")
    assert json.loads(judged.stdout)["problem"] == "axpy", judged.stderr
    climbed = door("climb", "run", "kernels/axpy", "--target", "tpu-v5p", "--attempts", "1")
    assert climbed.returncode in (69, 75)
    assert ".git" in climbed.stderr
