"""A repository with a linked worktree, as a climb makes them, and a log folder: where agents are tried."""

import os
import random
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cairn.agents.protocol import EditTask, SearchSpace
from cairn.process import Limits

CLAIM = 'Done.\n{"hypothesis": "bigger chunks", "expected_effect": "-10 %", "idea_class": "tiling"}'
LONG = Limits(wall_s=60, idle_s=40)


@dataclass
class Rig:
    """Gives tasks, and finds what survived one."""

    folder: Path
    workdir: Path
    logs: Path
    word: str = field(default_factory=lambda: f"1000.{random.randrange(10**15):015}")  # also a time to sleep

    @property
    def kernel(self) -> Path:
        return self.workdir / "kernel.py"

    def task(self, limits: Limits = LONG, prompt: str = "make it faster", **more: object) -> EditTask:
        return EditTask("a1", self.workdir, self.kernel, prompt, self.logs, SearchSpace({}), (), limits, **more)

    def survivors(self) -> list[psutil.Process]:
        processes = psutil.process_iter(["cmdline"])
        return [p for p in processes if self.word in " ".join(p.info["cmdline"] or []) and p.is_running()]

    def log(self) -> str:
        """Titles of the worktree's commits."""
        command = ["git", "-C", str(self.workdir), "log", "--format=%s"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def git(*arguments: str) -> None:
    names = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, **names}
    subprocess.run(["git", *arguments], check=True, capture_output=True, env=environment)


def make_rig(folder: Path) -> Rig:
    main, workdir, logs = (folder / name for name in ("main", "attempt", "logs"))
    main.mkdir()
    logs.mkdir()
    (main / "kernel.py").write_text("chunk = 64\n")
    git("init", "-q", str(main))
    git("-C", str(main), "add", ".")
    git("-C", str(main), "commit", "-qm", "start")
    git("-C", str(main), "worktree", "add", "-q", "--detach", str(workdir))
    return Rig(folder, workdir, logs)
