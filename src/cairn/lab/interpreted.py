"""What the interpreters say about a kernel's correctness: findings with a class, a line and a hint.

No finding is no proof. Races are seen only in the order that was executed; capacity, tiling, layouts and the matrix
units' rounding are not simulated; grid rows that a kernel skips keep what was there, which only a comparison with a
reference shows. docs/lab.md lists these blind spots.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cairn.lab import failures
from cairn.lab.failures import Failure
from cairn.lab.lowering import Lowerer, Request, failure_of
from cairn.worker_process import WorkerFailure

WAYS = ("plain", "on_wait", "eager", "two_cores")
TOLERANCE = 2e-2  # relative to the largest element: other orders of summation in bfloat16 stay well below
_PLACE = re.compile(r"(?P<file>[^\s'\"()<>:,]+\.py):(?P<line>\d+)")
_RAISED = re.compile(r"^(?:\w+Error|\w+Exception): .*", re.MULTILINE)
_HINTS = {
    "race": "Two accesses to one buffer have no order: wait for the copy or semaphore between them, or use a "
    "slot each.",
    "uninitialised": "Something is read, or given back, that was never written: write every element of every output, "
    "initialise accumulators at the first step, and mask ragged tails.",
    "out_of_bounds": "An index leaves its buffer: check the index map, block counts and dynamic slices.",
    "missing_wait": "The result depends on when copies run: a `.wait()` is missing before the data is used.",
    "unwaited": "A copy or signal is never waited for: wait for every copy that is started, outputs too.",
    "order": "The result depends on the order of the grid or the number of cores: an axis is called parallel that is "
    "not, or a core reads what another one writes.",
    "differs": "Event by event the kernel computes something else than its plain form: memory is used otherwise than "
    "it looks.",
    "error": "The kernel does not run in the interpreter.",
}
_STUCK = (
    "Either it waits for a copy or signal that never comes - more waits than copies were started - or the shapes are "
    "large: every load and store is simulated. Try smaller shapes, or one --way at a time."
)
# a finding that is only the consequence of another one is not told
_CAUSES = {"race", "missing_wait", "unwaited", "out_of_bounds", "error"}
_FOLLOWS_FROM = {"uninitialised": _CAUSES, "order": _CAUSES, "differs": {*_CAUSES, "uninitialised", "order"}}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `kind`: a key of the hints; `way`: in which run it showed."""

    kind: str
    way: str
    line: str
    source: str | None
    hint: str


@dataclass(frozen=True)
class Report:
    """All runs and what follows from them. `failure`: the function does not load, or took too long."""

    findings: tuple[Finding, ...] = ()
    runs: tuple[Mapping[str, Any], ...] = ()
    failure: Failure | None = None
    outputs: tuple[Mapping[str, Any], ...] = ()
    blobs: tuple[bytes, ...] = field(default=(), repr=False)


def interpret(
    lowerer: Lowerer,
    request: Request,
    *,
    inputs: tuple[Sequence[Mapping[str, Any]], Sequence[bytes]] | None = None,
    ways: Sequence[str] = WAYS,
    seed: int = 0,
    timeout_s: float = 60.0,
) -> Report:
    """Run a function in the interpreters, in its locked process, and judge what they showed.

    Args:
        lowerer: of the function.
        request: how it is called.
        inputs: specs and bytes of the array arguments; random ones when None.
        ways: which runs.
        seed: of random inputs and of the shuffled grid.
        timeout_s: for all runs together.

    Raises:
        Missing: the interpreter is not there.
    """
    specs, blobs = inputs if inputs is not None else (None, ())
    header = {"op": "interpret", **request.as_header(), "inputs": specs, "seed": seed, "ways": list(ways)}
    try:
        reply, outputs = lowerer.ask(header, blobs, timeout_s=timeout_s)
    except WorkerFailure as failure:
        return Report(failure=_stopped(failure, timeout_s))
    runs = tuple(dict(run) for run in reply["runs"])
    return Report(tuple(findings(runs)), runs, None, tuple(reply["outputs"]), tuple(outputs))


def _stopped(failure: WorkerFailure, timeout_s: float) -> Failure:
    """Why there are no runs at all."""
    if failure.reason != "timeout":
        return failure_of(failure, timeout_s)
    stopped = failures.classify("timeout", f"the interpreters did not finish within {timeout_s:g} s")
    return replace(stopped, hint=_STUCK)


def findings(runs: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What the runs show, one finding of a kind."""
    by_way = {run["way"]: run for run in runs}
    found: list[Finding] = []
    for run in runs:
        if run["error"] is not None:
            found.append(_of_error(run))
        if run["races"]:
            found.append(_finding("race", run["way"], _line_with(run["told"], "RACE DETECTED"), run["told"]))
        if "non-zero count" in run["told"]:
            found.append(_finding("unwaited", run["way"], _line_with(run["told"], "non-zero count"), run["told"]))
    found += _of_values(by_way)
    kinds = {finding.kind for finding in found}
    kept: dict[str, Finding] = {}
    for finding in found:
        if not kinds & _FOLLOWS_FROM.get(finding.kind, set()):
            kept.setdefault(finding.kind, finding)
    return list(kept.values())


def _of_error(run: Mapping[str, Any]) -> Finding:
    error = run["error"]
    text = f"{error['type']}: {error['message']}"
    is_bounds = "out-of-bounds" in text.lower() or "out of bounds" in text.lower() or "OOB" in text
    known = failures.classify(error["type"], error["message"], error["traceback"])
    kind = "out_of_bounds" if is_bounds or known.kind == "bounds" else "error"
    raised = [match[0] for match in _RAISED.finditer(error["message"])]
    return Finding(kind, run["way"], (raised[-1] if raised else known.line)[:400], known.source, _HINTS[kind])


def _of_values(by_way: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Findings from comparing results: NaN where zeros give numbers, differences between the ways."""
    found = []
    first, eager = by_way.get("on_wait"), by_way.get("eager")
    if first and eager and first["error"] is None and eager["error"] is None:
        share, difference = first["nan_share"], eager["difference"]
        if share > eager["nan_share"]:
            kind = "missing_wait" if first["races"] else "uninitialised"
            line = (
                f"{share:.1%} of the results are NaN with NaN in fresh memory, {eager['nan_share']:.1%} with zeros"
            )
            found.append(_finding(kind, "on_wait", line, ""))
        elif _differs(difference):
            line = f"{_by(difference)} with zeros in fresh memory and copies done at once"
            found.append(_finding("missing_wait" if first["races"] else "uninitialised", "eager", line, ""))
    for way, kind in (("two_cores", "order"), ("plain", "differs")):
        run = by_way.get(way)
        if run and run["error"] is None and first and first["error"] is None and _differs(run["difference"]):
            nan_share = max(run["nan_share"], first["nan_share"])
            if kind == "differs" and math.isinf(run["difference"]) and nan_share > 0.0:
                line = f"{nan_share:.1%} of the results are NaN: never written, or made of what never was"
                found.append(_finding("uninitialised", way, line, ""))
            else:
                found.append(_finding(kind, way, f"{_by(run['difference'])} from those in order", ""))
    return found


def _by(difference: float) -> str:
    return "results are NaN in other places" if math.isinf(difference) else f"results differ by {difference:.1%}"


def _differs(difference: float) -> bool:
    return math.isinf(difference) or difference > TOLERANCE


def _finding(kind: str, way: str, line: str, text: str) -> Finding:
    places = [f"{match['file']}:{match['line']}" for match in _PLACE.finditer(text)]
    own = [place for place in places if "site-packages" not in place]
    return Finding(kind, way, line, own[0] if own else None, _HINTS[kind])


def _line_with(text: str, word: str) -> str:
    lines = text.splitlines()
    at = next((index for index, line in enumerate(lines) if word in line), None)
    return " ".join(" ".join(lines[at : at + 4]).split())[:400] if at is not None else word.lower()
