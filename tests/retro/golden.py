"""The golden projects: one per domain, as their users left them, and what a model answered about each."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from cairn.cli import retro as retro_commands
from workspace import git

PROJECTS = Path(__file__).parent / "projects"
DOMAINS = ("research", "unsloth", "cuda", "pallas")


@dataclass(frozen=True)
class Golden:
    """A copy of a golden project; `answers` holds the summary, the draft of a skill and the guide entries."""

    domain: str
    root: Path

    @property
    def answers(self) -> Path:
        return PROJECTS / self.domain / "answers"

    @property
    def skill(self) -> str:
        return str(yaml.safe_load((self.answers / "skill.md").read_text().split("---\n")[1])["name"])

    def skills_written(self) -> list[Path]:
        return sorted(self.root.glob(f".*/skills/{self.skill}/SKILL.md"))

    def write_answers(self) -> list[str]:
        """Put the answers into the project; gives the arguments of `propose`."""
        draft = self.root / "drafts" / self.skill / "SKILL.md"
        draft.parent.mkdir(parents=True)
        shutil.copyfile(self.answers / "skill.md", draft)
        for name in ("summary.md", "guide.yaml"):
            shutil.copyfile(self.answers / name, self.root / name)
        files = ["--skill", str(draft), "--guide", str(self.root / "guide.yaml")]
        return [str(self.root / "summary.md"), "--subject", f"{self.domain} golden", *files]


def golden(domain: str, folder: Path) -> Golden:
    """A fresh copy in its own git repository."""
    root = folder / f"{domain} project"
    shutil.copytree(PROJECTS / domain, root, ignore=shutil.ignore_patterns("answers"))
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")
    return Golden(domain, root)


def retro(root: Path, *arguments: str, code: int = 0) -> Any:
    """What `cairn retro ... --json` answers; None when it answers nothing."""
    done = CliRunner().invoke(
        retro_commands.retro, [*arguments, "--root", str(root), "--json"], catch_exceptions=False
    )
    assert done.exit_code == code, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout else None
