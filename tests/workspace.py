"""A user's project for the tests: a real git repository with the toy problem in it."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

TOY = Path(__file__).parent / "toy" / "axpy"
_TIMED = "bench: [{rows: 4096}]"


def quickly_timed(problem: Path) -> None:
    """Make the toy's timed shape small, and still larger than all checked ones: a call takes part of a millisecond."""
    text = (problem / "problem.yaml").read_text(encoding="utf-8")
    assert _TIMED in text
    (problem / "problem.yaml").write_text(text.replace(_TIMED, "bench: [{rows: 1024}]"), encoding="utf-8")


def toy_to_time(folder: Path) -> Path:
    """A copy of the toy for a judge that measures on this machine."""
    shutil.copytree(TOY, folder / "axpy", ignore=shutil.ignore_patterns("__pycache__"))
    quickly_timed(folder / "axpy")
    return folder / "axpy"


def git(folder: Path, *arguments: str) -> str:
    """Run git as a user would."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@dataclass(frozen=True)
class Workspace:
    """A user's project: a git repository with the toy problem and a registry."""

    root: Path

    @property
    def problem(self) -> Path:
        return self.root / "kernels" / "axpy"

    @property
    def variant(self) -> Path:
        return self.problem / "variants" / "pallas_axpy.py"

    def git(self, *arguments: str) -> str:
        return git(self.root, *arguments)

    def branches(self) -> list[str]:
        return self.git("branch", "--format=%(refname:short)").split()
