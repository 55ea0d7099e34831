"""What the loop itself costs: the wall of an attempt beyond its agent and its judge, and whether that stays flat.

    python benchmarks/loop_overhead.py [--attempts 1000] [--files 1000] [--every 100]
    python benchmarks/loop_overhead.py --attempts 40 --every 20 --between 960

A repository of many files, a `command` agent behind the fence that edits at once, a judge that is a table. So nearly
all of the wall is the loop's: folders, git, prompt, digest, fence, ledger, log. The judge's time is taken off; the
fence and the start of the agent's program stay in. The share of the wall is against an attempt of 30 s, shorter than
any real edit and judgement; on a busy machine look at the processor time as well. `--between N` copies the records of
an attempt N times after the first row, in place of climbing them: a short way to see what a long ledger does. In the
end the ledger is folded anew, as each launch does. The last column is about processor time, which others who use the
machine change least.
"""

import argparse
import resource
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "climb")]

from aftermath import project  # noqa: E402
from fakes import FakeJudge  # noqa: E402

from cairn.agents.catalogue import AgentOptions, open_agent  # noqa: E402
from cairn.climb.engine import Climb  # noqa: E402
from cairn.climb.ledger import Event, Ledger  # noqa: E402
from cairn.climb.policy import Margins  # noqa: E402
from cairn.climb.spec import ClimbSpec  # noqa: E402
from cairn.climb.state import fold  # noqa: E402
from cairn.judge.receipt import ReceiptBook  # noqa: E402
from cairn.process import Limits  # noqa: E402
from cairn.roofline import parse_target  # noqa: E402
from workspace import Workspace  # noqa: E402

MOST_S, MOST_SHARE, ATTEMPT_S = 1.5, 0.05, 30.0
EDIT = 'echo "N = \\"$CAIRN_ATTEMPT\\"" >> "$CAIRN_VARIANT"; echo "{\\"hypothesis\\": \\"try $CAIRN_ATTEMPT\\"}"'


class Stopwatch:
    """Seconds of each attempt from its plan to its record, without the judge's; and processor time, with children."""

    def __init__(self) -> None:
        self.own_s: list[float] = []
        self.processor_s: list[float] = []
        self._began = self._used = 0.0
        self._judge_s = 0.0

    def tell(self, event: Event) -> None:
        now = time.monotonic()
        if event["event"] == "attempt.planned":
            self._began, self._used, self._judge_s = now, processor_s(), 0.0
        elif event["event"] == "attempt.judged":
            self._judge_s = event["judge_s"]
        elif event["event"] == "attempt.recorded":
            self.own_s.append(now - self._began - self._judge_s)
            self.processor_s.append(processor_s() - self._used)


def processor_s() -> float:
    """Of this process and of those that it has waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def big_project(folder: Path, files: int) -> Workspace:
    """The toy project among many other files."""
    workspace = project(folder)
    for number in range(files):
        path = workspace.root / "library" / f"part{number % 40}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"VALUE = {number}\n" * 50)
    workspace.git("add", "--all", "library")
    workspace.git("commit", "--quiet", "-m", "a library")
    return workspace


def spec_for(workspace: Workspace, attempts: int) -> ClimbSpec:
    return ClimbSpec(
        name="night",
        problem=workspace.problem,
        variant="pallas_axpy",
        target=parse_target("tpu-v5p"),
        folder=workspace.root / ".cairn" / "runs" / "night",
        attempts=attempts,
        margins=Margins(sweep=0.05, edit=0.10),
        agent_limits=Limits(wall_s=60, idle_s=30),
        learnings=workspace.root / "AGENT.md",
    )


def copy_records(folder: Path, count: int) -> None:
    """Repeat the ledger lines and the receipt of the last attempt under new ids, each with a text of its own."""
    ledger, book = Ledger(folder / "ledger.jsonl"), ReceiptBook(folder / "receipts.jsonl")
    last = fold(ledger.events).decided[-1]
    lines = [event for event in ledger.events if event.get("attempt") == last.id]
    sealed = ("schema", "id", "time", "previous", "hash")
    found = book.find(attempt=last.id)
    assert found is not None
    receipt = {key: value for key, value in found.items() if key not in sealed}
    for number in range(1, count + 1):
        name = f"a{int(last.id[1:]) + number:04d}"
        added = book.add({**receipt, "attempt": name})
        changes = {"attempt": name, "receipt": added["id"], "likeness": f"copy-{number}"}
        for line in lines:
            fields = {
                key: changes.get(key, value) for key, value in line.items() if key not in ("n", "time", "event")
            }
            ledger.write(line["event"], **fields)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1000)
    parser.add_argument("--files", type=int, default=1000, help="other files in the user's repository")
    parser.add_argument("--every", type=int, default=100, help="attempts in a row of the table")
    parser.add_argument("--between", type=int, default=0, help="attempts to copy instead of climbing them")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cairn-overhead-"))
    try:
        workspace, watch = big_project(folder, options.files), Stopwatch()
        spec = spec_for(workspace, options.attempts)
        judge: Any = lambda problem: FakeJudge(problem, [])  # noqa: E731
        agent = open_agent("command", AgentOptions(command=EDIT))
        first = options.every if options.between else options.attempts
        Climb(spec_for(workspace, first), agent, on_event=watch.tell, judges={"local": judge}).run()
        if options.between:
            copy_records(spec.folder, options.between)
            whole = spec_for(workspace, options.attempts + options.between)
            Climb(whole, agent, on_event=watch.tell, judges={"local": judge}).run()
        good = report(watch, options)
        began = time.monotonic()
        events = Ledger(spec.folder / "ledger.jsonl").events
        state = fold(events)
        size_mib = (spec.folder / "ledger.jsonl").stat().st_size / 2**20
        sys.stdout.write(
            f"fold of {len(events)} events, {len(state.decided)} attempts, {size_mib:.1f} MiB: "
            f"{time.monotonic() - began:.2f} s\n"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good and len(state.decided) == options.attempts + options.between else 1)


def report(watch: Stopwatch, options: argparse.Namespace) -> bool:
    """The table; whether the bounds hold."""
    own_s, every = watch.own_s, options.every
    sys.stdout.write(
        f"{'attempts':>12} {'median s':>9} {'p95 s':>7} {'processor s':>12} {'of the first row':>17}\n"
    )
    first = statistics.median(watch.processor_s[:every])
    for at in range(0, len(own_s), every):
        row, used = own_s[at : at + every], statistics.median(watch.processor_s[at : at + every])
        median, p95 = statistics.median(row), sorted(row)[int(0.95 * (len(row) - 1))]
        label = f"{at + 1}-{at + len(row)}"
        sys.stdout.write(f"{label:>12} {median:9.3f} {p95:7.3f} {used:12.3f} {used / first:17.2f}\n")
    median = statistics.median(own_s)
    share = median / (median + ATTEMPT_S)
    sys.stdout.write(
        f"{len(own_s)} attempts, {options.files} other files: {median:.3f} s an attempt beyond agent and judge "
        f"(at most {MOST_S}), {share:.1%} of an attempt of {ATTEMPT_S:.0f} s (at most {MOST_SHARE:.0%})\n"
    )
    return median <= MOST_S and share <= MOST_SHARE


if __name__ == "__main__":
    main()
