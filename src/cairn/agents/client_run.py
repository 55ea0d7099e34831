"""One run of a coding assistant's command line program: the part that is the same for all of them.

A client gets its prompt on standard input and never a terminal, a bounded time, a process tree that is ended whole,
and files for its output. What it printed is read by the client's own module; what becomes of it is decided here.
"""

import contextlib
import errno
import shutil
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cairn.agents.claim import one_line, read_claim
from cairn.agents.failures import classify_failure, reset_time
from cairn.agents.prices import Prices
from cairn.agents.protocol import EditOutcome, EditTask
from cairn.agents.report import Report
from cairn.agents.transcripts import is_plain, keep_bounded, read_lines, read_tail
from cairn.process import Outcome, Streams, run_bounded
from cairn.walk import entries_below

# how `run_bounded` says that it ended a program -> the class of the failure
ENDED_BY = {
    "wall": "timeout",
    "idle": "idle",
    "output": "output",
    "signal": "agent_error",
    "cancelled": "cancelled",
}
_TELLING = {"rate_limit", "quota", "auth", "infra", "disk"}  # what a silent client may be waiting for
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
_DETAIL_LIMIT = 500
_MESSAGE_LIMIT = 8192  # of a failure's text: classes and reset times are looked for in so much of it


@dataclass(frozen=True)
class Invocation:
    """How one client is started and read.

    Args:
        name: the client's, also the beginning of its log files' names.
        binary: program name or path, looked for on the environment's PATH.
        arguments: what follows it.
        environment: all of the client's variables.
        read: folds the lines of its standard output.
        model: the model that the caller asked for.
        priced: whether the list prices hold for the provider it talks to.
        mount_points: folders that the client may leave in the worktree, to be removed while empty.
    """

    name: str
    binary: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    read: Callable[[Iterable[str]], Report]
    prices: Prices
    model: str = ""
    priced: bool = True
    mount_points: Sequence[str] = ()


def run_client(task: EditTask, invocation: Invocation) -> EditOutcome:
    """Let a client edit `task.workdir`; its output stays in `task.log_dir`, bounded."""
    events = task.log_dir.resolve() / f"{invocation.name}-events.jsonl"
    stderr = task.log_dir.resolve() / f"{invocation.name}-stderr.log"
    for path in (events, stderr):
        path.unlink(missing_ok=True)
    binary = shutil.which(invocation.binary, path=invocation.environment.get("PATH"))
    if binary is None:
        return EditOutcome("failed", reason="not_found", detail=f"no program {invocation.binary!r} on PATH")
    before = file_states(task.workdir)
    absent = [path for name in invocation.mount_points if not (path := task.workdir / name).exists()]
    try:
        outcome = run_bounded(
            task.fence([binary, *invocation.arguments]),
            cwd=task.workdir,
            environment=invocation.environment,
            streams=Streams(events, stderr, task.prompt),
            limits=task.limits,
            cancelled=task.cancelled,
        )
    except OSError as error:
        return start_failure(error, binary)
    for path in absent:
        with contextlib.suppress(OSError):  # only an empty folder goes
            path.rmdir()
    report = invocation.read(read_lines(events))
    result = _result(outcome, report, read_tail(stderr), changed=file_states(task.workdir) != before)
    for path in (events, stderr):
        keep_bounded(path)
    cost, basis = _cost(report, invocation)
    return replace(
        result,
        usage=report.usage,
        model=report.model or invocation.model,
        cost_usd=cost,
        cost_basis=basis,
        transcript=events if is_plain(events) else None,
    )


def start_failure(error: OSError, binary: str) -> EditOutcome:
    """The outcome when a program could not be started; an error that is not the program's or the disk's is raised."""
    if error.errno in _NO_SPACE:
        return EditOutcome("failed", reason="disk", detail=one_line(str(error), _DETAIL_LIMIT))
    if error.filename != binary:
        raise error
    return EditOutcome("failed", reason="not_found", detail=one_line(str(error), _DETAIL_LIMIT))


def _result(outcome: Outcome, report: Report, stderr: str, *, changed: bool) -> EditOutcome:
    claim = vars(read_claim(report.last_message))
    if (failure := _failure(outcome, report, stderr)) is None:
        return EditOutcome("edited" if changed else "nothing", **claim)
    reason, text = failure
    retry_at = None
    if reason == "rate_limit":
        retry_at = report.retry_at or reset_time(text, datetime.now().astimezone())
    return EditOutcome("failed", reason=reason, detail=one_line(text, _DETAIL_LIMIT), retry_at=retry_at, **claim)


def _failure(outcome: Outcome, report: Report, stderr: str) -> tuple[str, str] | None:
    """Class and text when the run failed, else None."""
    if reason := class_of_end(outcome):
        said = report.last_error or (stderr.strip() if reason == "idle" else "")
        if reason == "idle" and (cause := classify_failure(said)) in _TELLING:
            reason = cause  # it was retrying in silence
        return reason, f"{how_it_ended(outcome)}: {said[-_DETAIL_LIMIT + 60 :]}" if said else how_it_ended(outcome)
    if report.failure is not None:
        return classify_failure(report.failure[:_MESSAGE_LIMIT]), report.failure
    if outcome.returncode != 0:
        said = stderr.strip() or report.last_error
        why = f": {said[-_DETAIL_LIMIT + 30 :]}" if said else ", without a word"
        return classify_failure(said), f"exit code {outcome.returncode}{why}"
    if not report.completed:
        return "agent_error", "the program ended well, but reported no completed turn: is it the right client?"
    return None


def class_of_end(outcome: Outcome) -> str | None:
    """The class of a failure when a limit or a signal ended the program, else None.

    It does not kill or terminate itself: somebody else did, or a machine without memory.
    """
    if outcome.ended_by == "signal" and -outcome.returncode in (signal.SIGKILL, signal.SIGTERM):
        return "infra"
    return ENDED_BY.get(outcome.ended_by)


def how_it_ended(outcome: Outcome) -> str:
    """One line for a program that a limit or a signal ended."""
    return f"ended by {outcome.ended_by} after {outcome.wall_s:.0f} s (code {outcome.returncode})"


def _cost(report: Report, invocation: Invocation) -> tuple[float | None, str]:
    """Dollars and where they come from."""
    if report.billing == "subscription":
        return None, "subscription"
    if report.cost_usd is not None and report.billing == "api":
        return report.cost_usd, "client"
    model = report.model or invocation.model
    prices = invocation.prices
    billed = report.billing == "api" and invocation.priced
    if report.usage is not None and prices.knows(model, own_only=not billed):
        return prices.cost_usd(report.usage, model), "list price"
    return None, "unknown"


def file_states(workdir: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file of a worktree, git's own aside: two of them differ when something was edited.

    The time is that of the last change of the file's state, which no program can set back as `touch` does the other.
    """
    states = {}
    for entry in entries_below(workdir, skip=(".git",)):
        with contextlib.suppress(OSError):  # gone, or in a folder that may be listed and not entered
            if not entry.is_dir(follow_symlinks=False):
                state = entry.stat(follow_symlinks=False)
                states[entry.path] = (state.st_size, state.st_ctime_ns)
    return states
