"""Is a problem fit to climb? What is unfinished, what the judge finds wrong with it, and where its baseline stands."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cairn.adopt.new_problem import Mark, marks
from cairn.errors import BadInput
from cairn.judge.case import Case
from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.judge.selftest import Finding
from cairn.judge.verdict import Verdict
from cairn.problem import Problem
from cairn.roofline import Target

_TEXTS = (".py", ".yaml")
# rulings that only mean "not better than the baseline": the variant itself is right
_RIGHT = {Verdict.KEEP, Verdict.DISCARD, Verdict.INCONCLUSIVE}
_WRONG = {"wrong_output", "wrong_shape", "non_finite", "unreplayable", "prediction_refused", "incumbent_unfit"}


@dataclass(frozen=True)
class Fitness:
    """What was found. `blocking` says in one line each why a climb would prove nothing; empty means fit."""

    left: tuple[Mark, ...]
    findings: tuple[Finding, ...]

    @property
    def blocking(self) -> list[str]:
        unfinished = [f"{mark.path}:{mark.line}: {mark.text}" for mark in self.left if mark.kind == "FINISH"]
        return [
            *unfinished,
            *(f"{each.what}: {each.detail}" for each in self.findings if each.fatal and not each.ok),
        ]

    def record(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "fit": not self.blocking,
            "blocking": self.blocking,
            "left": [asdict(mark) for mark in self.left],
            "findings": [asdict(finding) for finding in self.findings],
        }


def left_in(folder: Path) -> list[Mark]:
    """What is left to write in the files of a problem's folder."""
    texts = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*"))
        if path.suffix in _TEXTS and path.is_file() and "__pycache__" not in path.parts
    }
    return marks(texts)


def examine(problem: Problem, target: Target, python: Path, say: Callable[[str, str], None]) -> Fitness:
    """Let the judge examine a problem. With something unfinished left, only that is reported.

    Raises:
        Missing: the interpreter lacks what judging needs.
    """
    left = left_in(problem.folder)
    if any(mark.kind == "FINISH" for mark in left):
        return Fitness(tuple(left), ())
    findings: list[Finding] = []
    try:
        with Judge(problem, target, python=python, on_stage=say) as judge:
            findings += judge.self_test.run(lambda text: say("self-test", text))
            if all(each.ok or not each.fatal for each in findings):
                findings += _priced(judge, problem)
    except BadInput as error:
        findings.append(Finding("the reference and the baseline run", False, error.message))
    return Fitness(tuple(left), tuple(findings))


def _priced(judge: Judge, problem: Problem) -> list[Finding]:
    """Judge the baseline against itself and the start against the baseline."""
    baseline = VariantSource.read(problem.variant(problem.baseline))
    case = judge.judge(baseline, anchor=True)
    findings = [_standing("baseline has a cost", case)]
    if problem.start is not None and findings[0].ok:
        start = judge.judge(VariantSource.read(problem.variant(problem.start)), anchor=True)
        findings.append(_standing(f"start `{problem.start}` can be climbed", start))
    return findings


def _standing(what: str, case: Case) -> Finding:
    assert case.ruling is not None
    right = case.verdict in _RIGHT and case.ruling.reason not in _WRONG
    if not right:
        return Finding(what, False, f"{case.verdict}: {case.ruling.reason}: {case.ruling.detail[:600]}")
    if not case.prices:
        return Finding(what, True, f"measured; {case.ruling.reason}")
    us = case.prices[0].us
    floor = case.floors[0].target if case.floors else None
    detail = f"predicted {us:,.1f} us at the headline shape"
    if floor is not None and us:
        detail += f"; the floor is {floor.us:,.1f} us ({floor.bound_by}), {floor.us / us:.0%} of it"
    ratio = "" if case.ratio is None else f"; {1 / case.ratio:.2f}x against the baseline"
    return Finding(what, True, detail + ratio)
