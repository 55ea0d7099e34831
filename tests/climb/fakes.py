"""A judge and agents for tests of the loop: ordinary classes, no process, no compiler."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairn.agents.protocol import EditOutcome, EditTask
from cairn.errors import BadInput
from cairn.judge.case import Case
from cairn.judge.physics import Floors
from cairn.judge.prices import Price
from cairn.judge.protocol import VariantSource
from cairn.judge.verdict import Ruling, rule_on_cost
from cairn.problem import Problem
from cairn.roofline import Floor, Target, parse_target
from cairn.variant_text import config_defaults, with_defaults

COSTS_US = {8: 100.0, 16: 80.0, 32: 60.0, 64: 61.0}
BASELINE_US = 70.0


def price(us: float) -> Price:
    return Price(program=f"program-{us}", us=us, low_us=us * 0.9, high_us=us * 1.1, refused=None)


class FakeJudge:
    """Prices a variant by the `block` in its Config; remembers how often it was asked for each text."""

    def __init__(self, problem: Problem, asked: list[bytes], jax: str = "0.10.2") -> None:
        self._jax = jax
        self.problem = problem
        self.target: Target = parse_target("tpu-v5p")
        self.asked = asked

    def __enter__(self) -> "FakeJudge":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def fingerprint(self) -> dict[str, Any]:
        return {"fake": True, "jax": self._jax}

    def calibrate(self) -> None:
        """Predicted costs have no noise."""

    def confirm(self, champion: VariantSource, original: VariantSource, margin: float | None = None) -> Case:
        case = self.judge(champion, None, margin)
        case.purpose = "confirmation"
        return case

    def judge(
        self,
        variant: VariantSource,
        incumbent: VariantSource | None = None,
        margin: float | None = None,
        *,
        known: Ruling | None = None,
        anchor: bool = False,
        number: int = 1,
    ) -> Case:
        del number
        self.asked.append(variant.text)
        purpose = "anchor" if anchor else "decision"
        case = Case(
            variant, incumbent or VariantSource("xla_axpy", b""), margin=margin, purpose=purpose, ruling=known
        )
        if known is not None:
            return case
        try:
            case.prices = [price(self._us(variant))]
        except (BadInput, ValueError, KeyError, RecursionError, MemoryError):
            case.ruling = Ruling("import_error", "no such Config")
            return case
        if b"def run" not in variant.text:
            case.ruling = Ruling("import_error", "no run")
            return case
        case.incumbent_prices = [price(self._us(incumbent) if incumbent else BASELINE_US)]
        case.floors = [Floors(Floor(1.0, "bytes"), Floor(10.0, "bytes"))]
        mine, theirs = [float(case.prices[0].us or 0)], [float(case.incumbent_prices[0].us or 0)]
        case.ruling, case.ratio = rule_on_cost(mine, theirs, margin or 0.25)
        return case

    @staticmethod
    def _us(variant: VariantSource) -> float:
        return COSTS_US[config_defaults(variant.text.decode())["block"]]


@dataclass
class ScriptedAgent:
    """Does the next thing on its list in each attempt; after the list it has nothing left."""

    acts: list[Callable[[EditTask], EditOutcome | None]]
    name: str = "scripted"
    seen: list[EditTask] = field(default_factory=list)

    def edit(self, task: EditTask) -> EditOutcome:
        self.seen.append(task)
        # attempts are numbered over all launches, so a resumed climb goes on where it stopped
        done = len(task.history) - 1
        if done >= len(self.acts):
            return EditOutcome("exhausted")
        outcome = self.acts[done](task)
        return outcome or EditOutcome("edited", hypothesis=f"act {done}")


def block(size: int) -> Callable[[EditTask], None]:
    """An act that sets the block size."""

    def act(task: EditTask) -> None:
        text = task.variant.read_text(encoding="utf-8")
        task.variant.write_text(with_defaults(text, {"block": size}), encoding="utf-8")

    return act


def write(relative: str, text: str) -> Callable[[EditTask], None]:
    """An act that writes a file below the worktree."""

    def act(task: EditTask) -> None:
        path = Path(task.workdir) / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return act


def after(
    outcome: EditOutcome, act: Callable[[EditTask], None] | None = None
) -> Callable[[EditTask], EditOutcome]:
    """An act that edits and then says so."""

    def both(task: EditTask) -> EditOutcome:
        if act is not None:
            act(task)
        return outcome

    return both


def claimed(size: int, **fields: Any) -> Callable[[EditTask], EditOutcome]:
    return after(EditOutcome("edited", hypothesis=f"block {size}", **fields), block(size))


class Once:
    """Agents that fail a few times and then go on with their list."""

    name = "once"

    def __init__(self, first: list[EditOutcome], acts: list[Callable[[EditTask], EditOutcome | None]]) -> None:
        self.first, self.acts = first, acts

    def edit(self, task: EditTask) -> EditOutcome:
        if self.first:
            return self.first.pop(0)
        done = len(task.history) - 1
        return (
            (self.acts[done](task) or EditOutcome("edited")) if done < len(self.acts) else EditOutcome("exhausted")
        )
