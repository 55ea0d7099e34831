"""Leave a climb alone with an agent that does everything wrong, and see that nobody had to help.

    python benchmarks/soak.py [--attempts 300] [--seed N]

A real repository, real processes, the real loop and fence; the judge is a table of costs, because what it takes is not
the question. Afterwards: every attempt is accounted for, the user's repository is as it was but for the champion
branch, nothing runs, nothing is left over, and the log agrees with the ledger.
"""

import argparse
import collections
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "climb")]

from fakes import FakeJudge  # noqa: E402
from misbehaving_agent import ACTS  # noqa: E402

from cairn.agents.catalogue import AgentOptions, open_agent  # noqa: E402
from cairn.climb.engine import Climb  # noqa: E402
from cairn.climb.log_lint import ALL, LintOptions, lint_log  # noqa: E402
from cairn.climb.policy import Margins  # noqa: E402
from cairn.climb.spec import Budgets, ClimbSpec  # noqa: E402
from cairn.climb.state import State  # noqa: E402
from cairn.fence import fence_level  # noqa: E402
from cairn.process import Limits  # noqa: E402
from cairn.roofline import parse_target  # noqa: E402
from workspace import TOY, Workspace, git  # noqa: E402

PLAYER = """number=${{CAIRN_ATTEMPT#a}}
exec '{python}' '{agent}' "$(sed -n "$((10#$number))p" '{plan}')"
"""
AGENT = ROOT / "tests" / "climb" / "misbehaving_agent.py"


def project(folder: Path) -> Workspace:
    """A repository with a dirty file that nobody may touch."""
    root = folder / "project"
    shutil.copytree(TOY, root / "kernels" / "axpy", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "registry.json").write_text('{"domain": "pallas"}\n')
    (root / ".gitignore").write_text(".cairn\n")
    (root / "notes.txt").write_text("committed\n")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "-m", "start")
    (root / "notes.txt").write_text("the user's unsaved thought\n")
    git(root, "stash")
    git(root, "stash", "apply")
    return Workspace(root)


def picture(workspace: Workspace) -> dict[str, str]:
    """Everything of the user's repository that a climb may not change."""
    refs = workspace.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    own = [ref for ref in refs if not ref.startswith(("refs/heads/cairn/", "refs/cairn/"))]
    hooks = sorted(path.name for path in (workspace.root / ".git" / "hooks").glob("*"))
    return {
        "refs": "\n".join(own),
        "head": workspace.git("symbolic-ref", "HEAD"),
        "status": workspace.git("status", "--porcelain"),
        "config": (workspace.root / ".git" / "config").read_text(),
        "hooks": " ".join(hooks),
        "stash": workspace.git("stash", "list"),
        "notes": (workspace.root / "notes.txt").read_text(),
    }


def spec_for(workspace: Workspace, attempts: int, minutes: float) -> ClimbSpec:
    return ClimbSpec(
        name="night",
        problem=workspace.problem,
        variant="pallas_axpy",
        target=parse_target("tpu-v5p"),
        folder=workspace.root / ".cairn" / "runs" / "night",
        attempts=attempts,
        margins=Margins(sweep=0.05, edit=0.10),
        agent_limits=Limits(wall_s=20, idle_s=3, max_output_bytes=16 * 2**20),
        learnings=workspace.root / "AGENT.md",
        wall_s=minutes * 60,
        budgets=Budgets(wait_s=60),
        resilient=True,
    )


def faults(workspace: Workspace, before: dict[str, str], state: State, spec: ClimbSpec) -> list[str]:
    """What is not as it should be after a climb."""
    found = [
        f"{key} changed: {value!r} -> {picture(workspace)[key]!r}"
        for key, value in before.items()
        if picture(workspace)[key] != value
    ]
    inside = str(workspace.root)
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(inside) or "misbehaving_agent" in " ".join(process.cmdline()):
                found.append(f"still runs: {process.cmdline()}")
        except psutil.Error:
            continue
    if (spec.folder / "worktrees").exists():
        found.append("working folders are left")
    if len(workspace.git("worktree", "list").splitlines()) != 1:
        found.append("a linked worktree is left")
    if state.champion != workspace.git("rev-parse", "cairn/night").strip():
        found.append("the branch is not at the champion")
    kept = [attempt for attempt in state.decided if attempt.commit]
    if len(workspace.git("rev-list", "main..cairn/night").split()) != len(kept):
        found.append("commits and kept attempts differ")
    if state.queue:
        found.append(f"open attempts: {[attempt.id for attempt in state.queue]}")
    lint = lint_log(
        spec.folder / "log.md", state, LintOptions(ALL), lambda sha: bool(workspace.git("cat-file", "-t", sha))
    )
    return found + [f"log: {each}" for each in lint]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--acts", default="", help="only these, separated by commas")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    options = parser.parse_args()
    acts = options.acts.split(",") if options.acts else list(ACTS)
    order = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="cairn-soak-") as name:
        workspace = project(Path(name))
        plan = [act for _ in range(1 + options.attempts // len(acts)) for act in order.sample(acts, len(acts))]
        (Path(name) / "plan.txt").write_text("\n".join(plan))
        player = Path(name) / "agent.sh"
        player.write_text(PLAYER.format(python=sys.executable, agent=AGENT, plan=Path(name) / "plan.txt"))
        agent = open_agent("command", AgentOptions(command=f"bash '{player}'"))
        spec = spec_for(workspace, options.attempts, options.minutes)
        before, asked = picture(workspace), []
        started = time.monotonic()
        climb = Climb(spec, agent, open_judge=lambda problem: FakeJudge(problem, asked))  # type: ignore[arg-type,return-value]
        state = climb.run()
        wall_s = time.monotonic() - started
        wrong = faults(workspace, before, state, spec)
        report(state, plan, wall_s, options.seed)
        sys.stdout.write("".join(f"FAULT {fault}\n" for fault in wrong))
    sys.exit(1 if wrong or len(state.decided) < options.attempts else 0)


def report(state: State, plan: list[str], wall_s: float, seed: int) -> None:
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
        f"{len(state.decided)} decided of {len(state.attempts)} attempts, fence {fence_level()}, "
        f"ended {state.ended}, {wall_s:.0f} s of which agent and judge {extra:.0f} s, "
        f"human actions 0, seed {seed}\n"
    )


if __name__ == "__main__":
    main()
