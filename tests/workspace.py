"""A user's project for the tests: a real git repository with the toy problem in it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

TOY = Path(__file__).parent / "toy" / "axpy"


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
