"""Kill a climb's supervisor, agent or judge at random moments, let it go on, and look at what is left in the end.

python chaos.py PROJECT [fake|real]     the victim: one launch of a climb with a steady agent
"""

import contextlib
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from aftermath import BRANCH, faults, picture, project
from fakes import FakeJudge
from steady_agent import SIZES

from cairn.agents.catalogue import AgentOptions, open_agent
from cairn.climb import bench, engine
from cairn.climb.engine import Climb
from cairn.climb.ledger import Ledger
from cairn.climb.policy import Margins
from cairn.climb.spec import ClimbSpec
from cairn.climb.state import State, fold
from cairn.process import MARKER, Limits
from cairn.roofline import parse_target
from workspace import Workspace

HERE = Path(__file__).parent
VARIANT = "kernels/axpy/variants/pallas_axpy.py"
ATTEMPTS = len(SIZES)
AGENT = f"exec '{sys.executable}' '{HERE / 'steady_agent.py'}'"
VICTIMS = ("supervisor", "agent", "judge")
_LONGEST_S, _WAIT_S = 240.0, 15.0


@dataclass
class Toll:
    """What one climb went through, and what was wrong with it in the end."""

    kills: Counter[str] = field(default_factory=Counter)
    launches: int = 0
    champion: str = ""
    kept: int = 0
    wrong: list[str] = field(default_factory=list)


def folder_of(workspace: Workspace) -> Path:
    return workspace.root / ".cairn" / "runs" / "night"


def supervise(root: Path) -> None:
    """One launch in this process, with a judge that is a table of costs and pauses that are short."""
    engine.pause_s = bench.pause_s = lambda times: 0.05  # type: ignore[attr-defined]
    workspace = Workspace(root)
    spec = ClimbSpec(
        name="night",
        problem=workspace.problem,
        variant="pallas_axpy",
        target=parse_target("tpu-v5p"),
        folder=folder_of(workspace),
        attempts=ATTEMPTS,
        margins=Margins(sweep=0.05, edit=0.10),
        agent_limits=Limits(wall_s=120, idle_s=120),
        learnings=root / "AGENT.md",
        resilient=True,
    )
    Climb(
        spec,
        open_agent("command", AgentOptions(command=AGENT)),
        judges={"local": lambda problem: FakeJudge(problem, [])},  # type: ignore[arg-type,return-value]
    ).run()


def command(workspace: Workspace, judge: str) -> list[str]:
    """The victim's command line; with the real judge it is what a user types."""
    if judge == "fake":
        return [sys.executable, str(Path(__file__)), str(workspace.root)]
    climb = ["climb", str(workspace.problem), "--name", "night", "--attempts", str(ATTEMPTS), "--resilient"]
    program = [sys.executable, "-c", "from cairn.cli.main import main; main()"]
    return [*program, *climb, "--agent", "command", "--agent-command", AGENT]


@contextlib.contextmanager
def launched(workspace: Workspace, judge: str) -> Iterator[subprocess.Popen[bytes]]:
    log = workspace.root.parent / "launches.log"
    with (
        log.open("ab") as out,
        subprocess.Popen(
            command(workspace, judge), cwd=workspace.root, env={**os.environ, "PYTHONPATH": str(HERE.parent)},
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def kill_one(process: subprocess.Popen[bytes], wish: str, order: random.Random) -> str | None:
    """SIGKILL a process of the kind, waiting for one to come; what was hit."""
    if wish == "supervisor":
        process.kill()
        return wish
    deadline = time.monotonic() + _WAIT_S
    while process.poll() is None and time.monotonic() < deadline:
        if _wished(process, wish):
            time.sleep(order.uniform(0.0, 0.8))
            with contextlib.suppress(psutil.Error, IndexError):
                order.choice(_wished(process, wish)).kill()
                return wish
        time.sleep(0.05)
    return None


def _wished(process: subprocess.Popen[bytes], wish: str) -> list[psutil.Process]:
    """Agents, or the judge's processes, that a supervisor has now."""
    with contextlib.suppress(psutil.Error):
        below = psutil.Process(process.pid).children(recursive=True)
        agents = [each for each in below if "steady_agent" in " ".join(each.cmdline())]
        return agents if wish == "agent" else [each for each in below if each not in agents and _of_judge(each)]
    return []


def _of_judge(process: psutil.Process) -> bool:
    """Workers, oracle and compilers carry the marker of cairn; git and other short helpers do not."""
    with contextlib.suppress(psutil.Error):
        return MARKER in process.environ()
    return False


def play(folder: Path, judge: str, kills: int, order: random.Random, victims: tuple[str, ...] = VICTIMS) -> Toll:
    """One climb that is hit `kills` times and then left alone until it ends."""
    workspace, toll = project(folder), Toll()
    before, longest_s = picture(workspace), 2.5 if judge == "fake" else 9.0
    announced: list[bytes] = []
    ledger = folder_of(workspace) / "ledger.jsonl"
    for _ in range(1 + 20 * kills):
        hit = None
        with launched(workspace, judge) as process:
            toll.launches += 1
            while toll.kills.total() < kills and process.poll() is None:
                time.sleep(order.uniform(0.0, longest_s))
                hit = None if process.poll() is not None else kill_one(process, order.choice(victims), order)
                toll.kills.update([hit] if hit else [])
                announced.append(ledger.read_bytes() if ledger.exists() else b"")
                if hit == "supervisor":
                    break
            else:
                process.wait(timeout=_LONGEST_S)
        if hit != "supervisor" and fold(Ledger(ledger).events).ended == "attempts_done":
            break  # not so after blows that look like a service that is down: that says "try again", exit code 75
    toll.wrong += [
        "a line of the ledger was lost" for seen in announced if not ledger.read_bytes().startswith(_whole(seen))
    ]
    state = fold(Ledger(ledger).events)
    toll.champion = workspace.git("rev-parse", f"{BRANCH}:{VARIANT}").strip()
    toll.kept = sum(attempt.commit is not None for attempt in state.decided)
    toll.wrong += faults(workspace, before, state, folder_of(workspace)) + _ends(state)
    return toll


def _whole(seen: bytes) -> bytes:
    """The lines that were complete; a torn one was never announced."""
    return seen[: seen.rfind(b"\n") + 1]


def _ends(state: State) -> list[str]:
    return [] if state.ended == "attempts_done" else [f"ended {state.ended}: {state.ended_detail}"]


if __name__ == "__main__":
    supervise(Path(sys.argv[1]))
