"""Leave a climb alone with an agent that does everything wrong, and see that nobody had to help.

    python benchmarks/soak.py [--attempts 300] [--seed N] [--judge fake|real] [--acts A,B]

A real repository, real processes, the real loop and fence, on a small disk of its own (a tmpfs in a private mount
namespace) that some acts fill, under a clock that jumps by hours. The judge is a table of costs, because what it takes
is not the question; `--judge real` takes the real one. Afterwards: every attempt is accounted for, none was judged
twice, the user's repository is as it was but for the champion branch, nothing runs, nothing is left over, the log
agrees with the ledger. Then each budget has a climb of its own, and must end it within one attempt.
"""

import argparse
import collections
import functools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "climb")]

from aftermath import faults, picture, project  # noqa: E402
from fakes import FakeJudge  # noqa: E402
from misbehaving_agent import ACTS  # noqa: E402

from cairn.agents.catalogue import AgentOptions, open_agent  # noqa: E402
from cairn.climb import engine  # noqa: E402
from cairn.climb.engine import Climb  # noqa: E402
from cairn.climb.policy import Margins  # noqa: E402
from cairn.climb.spec import Budgets, ClimbSpec  # noqa: E402
from cairn.climb.state import State  # noqa: E402
from cairn.fence import fence_level  # noqa: E402
from cairn.judge.referee import Judge  # noqa: E402
from cairn.process import Limits  # noqa: E402
from cairn.roofline import parse_target  # noqa: E402
from workspace import Workspace  # noqa: E402

PLAYER = """number=${{CAIRN_ATTEMPT#a}}
exec '{python}' '{agent}' "$(sed -n "$((10#$number))p" '{plan}')"
"""
AGENT = ROOT / "tests" / "climb" / "misbehaving_agent.py"
INSIDE, DISK_MIB = "CAIRN_SOAK_INSIDE", 384
NEEDS_FENCE = {
    "kills_everybody",
    "reaches_for_the_project",
    "pushes_to_the_project",
    "destroys_objects",
    "edits_the_judge",
    "git_is_a_link",
    "reaches_for_the_workers_folders",
    "stops_everybody",
    "fills_shared_memory",
    "kills_its_group",
    "terminates_its_group",
    "stops_its_group",
    "segments_of_memory",
    "sets_the_clock",
    "modes_of_every_kind",
    "repository_is_the_projects",
    "locks_everywhere",
    "forges_records",  # it asks the climb to stop
}
ALONE = {"settings_of_the_user"}  # whoever comes after it has them too; a test of its own plays it
NEEDS_SMALL_DISK = {"fills_the_disk", "file_without_a_name_fills_the_disk"}
BUDGETS: dict[str, tuple[Budgets, int]] = {  # the reason that must end it, and after how many attempts at most
    "tokens": (Budgets(tokens=3500), 3),
    "money": (Budgets(cost_usd=0.35), 3),
    "device_minutes": (Budgets(device_s=1e-6), 1),
    "stall": (Budgets(stall=3), 8),
    "plateau": (Budgets(plateau=0.15), 4),
    "wall_clock": (Budgets(wall_s=6.0), 99),
}


class JumpingClock(datetime):
    """A wall clock that is wrong by up to a day, differently each time: the loop may not depend on it."""

    order = random.Random(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(seconds=cls.order.choice((-86_400, -40, 0, 0, 40, 86_400)))


def on_small_disk() -> Path | None:
    """Begin again in a mount namespace of its own, with a small file system in it; None when that is refused."""
    if INSIDE in os.environ:
        return Path(os.environ[INSIDE])
    place = tempfile.mkdtemp(prefix="cairn-soak-")
    mount = f"mount -t tmpfs -o size={DISK_MIB}m soak '{place}'"
    flags = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    if subprocess.run(["unshare", *flags, "sh", "-c", mount], capture_output=True, check=False).returncode:
        shutil.rmtree(place)
        return None
    again = ["unshare", *flags, "sh", "-c", f'{mount} && exec "$0" "$@"', sys.executable, *sys.argv]
    code = subprocess.run(again, env={**os.environ, INSIDE: place}, check=False).returncode
    shutil.rmtree(place)
    sys.exit(code)


def spec_for(workspace: Workspace, attempts: int, minutes: float) -> ClimbSpec:
    return ClimbSpec(
        name="night",
        problem=workspace.problem,
        variant="pallas_axpy",
        target=parse_target("tpu-v5p"),
        folder=workspace.root / ".cairn" / "runs" / "night",
        attempts=attempts,
        margins=Margins(sweep=0.05, edit=0.10),
        agent_limits=Limits(wall_s=20, idle_s=4, max_output_bytes=16 * 2**20),
        learnings=workspace.root / "AGENT.md",
        wall_s=minutes * 60,
        budgets=Budgets(wait_s=30),
        resilient=True,
    )


def agent_of(folder: Path, plan: list[str]) -> Any:
    """The program that plays one act of the plan in each attempt."""
    (folder / "plan.txt").write_text("\n".join(plan))
    player = folder / "agent.sh"
    player.write_text(PLAYER.format(python=sys.executable, agent=AGENT, plan=folder / "plan.txt"))
    return open_agent("command", AgentOptions(command=f"bash '{player}'"))


def judge_of(kind: str) -> Any:
    if kind == "real":
        return functools.partial(Judge, target=parse_target("tpu-v5p"), python=Path(sys.executable))
    return lambda problem: FakeJudge(problem, [])


def soak(folder: Path, plan: list[str], options: argparse.Namespace) -> list[str]:
    """The long run; what was wrong with it."""
    workspace = project(folder)
    agent, spec = agent_of(folder, plan), spec_for(workspace, options.attempts, options.minutes)
    before, started = picture(workspace), time.monotonic()
    state = State()
    for _ in range(20):  # a disk that stays full ends a launch; a service would start it again
        state = Climb(spec, agent, judges={"local": judge_of(options.judge)}).run()
        if state.ended not in ("disk_full", "rate_limit"):
            break
    report(state, plan, time.monotonic() - started, options)
    wrong = faults(workspace, before, state, spec.folder)
    if len(state.decided) < options.attempts:
        wrong.append(f"only {len(state.decided)} attempts were decided: {state.ended} {state.ended_detail}")
    return wrong


def budgets(folder: Path) -> list[str]:
    """One climb for each budget, with an agent that edits well and says what it takes."""
    wrong = []
    for reason, (budget, most) in BUDGETS.items():
        own = folder / reason
        own.mkdir()
        workspace = project(own)
        spec = replace(spec_for(workspace, 99, 5), budgets=budget)
        before, started = picture(workspace), time.monotonic()
        state = Climb(spec, agent_of(own, ["edit_well"] * 99), judges={"local": judge_of("fake")}).run()
        wall_s = time.monotonic() - started
        sys.stdout.write(
            f"budget {reason:15} ended {state.ended} after {len(state.decided)} attempts, {wall_s:.1f} s\n"
        )
        if state.ended != reason or len(state.decided) > most:
            wrong.append(f"the budget of {reason} did not end it in time")
        wrong += faults(workspace, before, state, spec.folder)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--acts", default="", help="only these, separated by commas")
    parser.add_argument("--judge", choices=["fake", "real"], default="fake")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    small = on_small_disk()
    left_out = (set() if fence_level() == "fenced" else NEEDS_FENCE) | (set() if small else NEEDS_SMALL_DISK)
    left_out |= ALONE
    acts = options.acts.split(",") if options.acts else [act for act in ACTS if act not in left_out]
    order = random.Random(options.seed)
    JumpingClock.order = order
    engine.datetime = JumpingClock  # type: ignore[misc,attr-defined]
    plan = [act for _ in range(2 + 2 * options.attempts // len(acts)) for act in order.sample(acts, len(acts))]
    with tempfile.TemporaryDirectory(prefix="cairn-soak-", dir=small) as name:
        home = Path(name) / "home"
        for folder in (Path(name) / "long", home):
            folder.mkdir()
        os.environ["HOME"] = str(home)  # an agent may write there
        wrong = soak(Path(name) / "long", plan, options) + budgets(Path(name))
    sys.stdout.write("".join(f"FAULT {fault}\n" for fault in wrong) + f"{len(wrong)} faults, human actions 0\n")
    sys.exit(1 if wrong else 0)


def report(state: State, plan: list[str], wall_s: float, options: argparse.Namespace) -> None:
    """What became of each act."""
    table: dict[str, collections.Counter[str]] = {}
    for attempt in state.attempts.values():
        act = plan[int(attempt.id[1:]) - 1]
        end = attempt.decision or attempt.phase
        label = f"{end}/{attempt.failure or attempt.reason or '-'}"
        table.setdefault(act, collections.Counter())[label] += 1
    for act, counts in sorted(table.items()):
        sys.stdout.write(f"{act:34} {', '.join(f'{label} {count}' for label, count in counts.most_common())}\n")
    extra = sum(attempt.agent_s + attempt.judge_s for attempt in state.attempts.values())
    sys.stdout.write(
        f"{len(state.decided)} decided of {len(state.attempts)} attempts in {state.launches} launches, "
        f"{len(table)} kinds of trouble, fence {fence_level()}, judge {options.judge}, ended {state.ended}, "
        f"{wall_s:.0f} s of which agent and judge {extra:.0f} s, seed {options.seed}\n"
    )


if __name__ == "__main__":
    main()
