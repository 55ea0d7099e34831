"""The linters and the type checker, as part of the tests: one command runs every check."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHECKS = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "mypy": ["-m", "mypy"],
}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.timeout(300)
def test_check(name: str) -> None:
    done = subprocess.run([sys.executable, *CHECKS[name]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_no_side_folder_fails_to_parse(tmp_path: Path) -> None:
    folders = [name for name in ("scripts", "kernels", "src", "tests", "benchmarks") if (ROOT / name).is_dir()]
    assert len(folders) == 5
    files = [path for name in folders for path in (ROOT / name).rglob("*.py")]
    assert len(files) > 200
    for path in files:
        compile(path.read_text(encoding="utf-8"), str(path), "exec")


def test_the_linter_bites(tmp_path: Path) -> None:
    """A checker that finds nothing in a planted fault would pass everything."""
    bad = tmp_path / "bad.py"
    bad.write_text("import os\ntry:\n    pass\nexcept Exception:\n    pass\n")
    command = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), str(bad)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "F401" in done.stdout
    assert "BLE001" in done.stdout
