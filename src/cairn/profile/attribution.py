"""A step's time as budgets: what each kind of operation takes, and what no operation explains.

Every figure is for one step, from counts that the summary states; a divisor is never guessed. Nothing is scaled so
that parts add up: the unexplained share is a number of its own, and negative where operations overlap.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.errors import BadInput, Missing, UsageError

# the first kind whose pattern is found in an operation's name or category
KINDS = (
    ("conditional", r"conditional|\bcond\b"),
    ("while", r"\bwhile"),
    ("infeed", r"infeed|outfeed|host-?transfer|memcpy(?:h2d|d2h)"),
    ("communication", r"nccl|all-?(?:gather|reduce|to-?all)|reduce-?scatter|collective|\bsend\b|\brecv\b|permute"),
    ("kernel", r"custom-?call|closed_call|pallas|mosaic"),
    ("copy", r"\bcopy|data.?formatting|transpose|reshape|bitcast|\bpad\b|concatenate"),
    ("matmul", r"\bdot|convolution|gemm|matmul|einsum"),
    ("fusion", r"fusion"),
)
_MS = {
    "total_ms": 1.0,
    "exclusive_ms": 1.0,
    "exclusive_duration": 1e-3,
    "total_duration": 1e-3,
}  # the latter in us


@dataclass(frozen=True)
class Operation:
    """One operation of a profile: milliseconds and occurrences in one step."""

    name: str
    kind: str
    step_ms: float
    step_count: float


@dataclass(frozen=True)
class Summary:
    """A profile's summary. `steps`: how many it covers; `step_ms`: the steady time of one."""

    path: Path
    steps: int
    step_ms: float
    operations: tuple[Operation, ...]

    def budgets_ms(self) -> dict[str, float]:
        """Milliseconds of one step by kind, and `unexplained`."""
        budgets = {kind: 0.0 for kind, _ in (*KINDS, ("other", ""))}
        for operation in self.operations:
            budgets[operation.kind] += operation.step_ms
        budgets["unexplained"] = self.step_ms - sum(budgets.values())
        return budgets

    @property
    def events(self) -> float:
        """Occurrences of all listed operations in one step."""
        return sum(operation.step_count for operation in self.operations)


@dataclass(frozen=True)
class Shape:
    """Share of the layers that have the operator, and the time of a step without any, if known."""

    fraction: float | None = None
    upper_bound_ms: float | None = None


def read_summary(path: Path, step_ms: float | None = None) -> Summary:
    """Read a summary: `hot_ops` with `name`, `count` and a duration each, the number of steps, the steady step time.

    Args:
        step_ms: the time of one step, over what the file says.

    Raises:
        Missing: no such file.
        BadInput: not JSON, or it does not say how many steps it covers or how long one takes.
    """
    return summary_of(read_object(path), path, step_ms)


def summary_of(data: Mapping[str, Any], path: Path, step_ms: float | None = None) -> Summary:
    """The same from an object that was read already; `path` is for messages."""
    times = data.get("step_time")
    table: Mapping[str, Any] = times if isinstance(times, dict) else {}
    steady: Any = table.get("steady_state_steps") or table.get("all_steps") or table
    steps = data.get("steps", data.get("num_steps", steady.get("count") if isinstance(steady, dict) else None))
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise BadInput("it does not say how many steps it covers", path=path, key="steps", hint='add "steps": N')
    stated = data.get("step_duration_ms")
    if stated is None and isinstance(steady, dict) and "median" in steady:
        stated = _number(steady["median"], path, "step_time.median") * 1e-3
    if step_ms is None and stated is None:
        hint = "--step-duration-ms, or step_duration_ms in the file"
        raise BadInput("it does not say how long a step takes", path=path, key="step_duration_ms", hint=hint)
    rows = data.get("hot_ops")
    if not isinstance(rows, list) or not rows:
        raise BadInput("a list of operations is needed", path=path, key="hot_ops")
    step = step_ms if step_ms is not None else _number(stated, path, "step_duration_ms")
    if step <= 0:
        raise BadInput(f"a step of {step:g} ms", path=path, key="step_duration_ms", hint="it must be positive")
    return Summary(path, steps, step, tuple(_operation(row, at, steps, path) for at, row in enumerate(rows)))


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        Missing, BadInput.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Missing(f"{path} does not exist", hint="name an existing file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"not valid JSON: {error}", path=path) from error
    if not isinstance(data, dict):
        raise BadInput("expected a JSON object", path=path)
    return data


def _operation(row: object, at: int, steps: int, path: Path) -> Operation:
    where = f"hot_ops.{at}"
    if not isinstance(row, dict) or not isinstance(row.get("name"), str):
        raise BadInput("an operation needs a name", path=path, key=where)
    unit = next((name for name in _MS if row.get(name) is not None), None)
    if unit is None:
        raise BadInput("an operation needs a duration", path=path, key=where, hint=f"one of {', '.join(_MS)}")
    duration_ms = _number(row[unit], path, f"{where}.{unit}") * _MS[unit]
    count = _number(row.get("count", 0), path, f"{where}.count")
    text = f"{row['name']} {row.get('category') or ''}"
    return Operation(row["name"], kind_of(text), duration_ms / steps, count / steps)


def kind_of(text: str) -> str:
    """The kind of an operation, from its name and category."""
    return next((kind for kind, pattern in KINDS if re.search(pattern, text, re.I)), "other")


def _number(value: object, path: Path, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise BadInput(f"expected a number of at least 0, got {value!r}", path=path, key=key)
    return float(value)


def attribute(summary: Summary, shape: Shape, top: int) -> dict[str, Any]:
    """One profile's budgets, its largest operations, and its gap to the upper bound."""
    budgets = summary.budgets_ms()
    largest = sorted(summary.operations, key=lambda operation: -operation.step_ms)[:top]
    found: dict[str, Any] = {
        "steps": summary.steps,
        "step_ms": summary.step_ms,
        "budgets_ms": budgets,
        "unexplained_share": budgets["unexplained"] / summary.step_ms,
        "top": [vars(operation) for operation in largest],
    }
    if shape.upper_bound_ms is not None:
        gap = summary.step_ms - shape.upper_bound_ms
        named = budgets["kernel"] + budgets["while"] + budgets["conditional"]
        found["gap"] = {"gap_ms": gap, "kernel_and_control_ms": named, "interaction_ms": gap - named}
    if shape.fraction:
        found["kernel_ms_for_all_layers"] = budgets["kernel"] / shape.fraction
    return found


def compare(before: Summary, after: Summary, shapes: tuple[Shape, Shape], top: int) -> dict[str, Any]:
    """Differences for one step, `after` less `before`; what speaks against trusting them is in `warnings`."""
    old, new = before.budgets_ms(), after.budgets_ms()
    ops = {operation.name: operation.step_ms for operation in before.operations}
    deltas = {operation.name: operation.step_ms - ops.pop(operation.name, 0.0) for operation in after.operations}
    deltas |= {name: -ms for name, ms in ops.items()}
    largest = sorted(deltas.items(), key=lambda item: -abs(item[1]))[:top]
    found: dict[str, Any] = {
        "step_ms": after.step_ms - before.step_ms,
        "budgets_ms": {kind: new[kind] - old[kind] for kind in new},
        "top_ms": dict(largest),
        "warnings": _doubts(before, after),
    }
    first, second = (shape.fraction for shape in shapes)
    if first is not None and second is not None and first != second:
        slope = (after.step_ms - before.step_ms) / (second - first)
        found["linear"] = {"ms_for_all_layers": slope, "intercept_ms": after.step_ms - slope * second}
    return found


def _doubts(before: Summary, after: Summary) -> list[str]:
    found = []
    same = [(o.name, o.step_ms) for o in before.operations] == [(o.name, o.step_ms) for o in after.operations]
    if same:
        found.append("both sides have the same numbers: is it the same trace?")
    if before.steps != after.steps:
        found.append(f"{before.steps} steps against {after.steps}: figures are for one step, but noise differs")
    if before.events and after.events and not 0.9 < after.events / before.events < 1.1:
        found.append(f"{before.events:.0f} events in a step against {after.events:.0f}: not the same program")
    return found


def shape_of(fraction: float | None, per_block: int | None, block: int | None, bound_ms: float | None) -> Shape:
    """A shape from its flags; layers in a block give the fraction where it is not stated.

    Raises:
        UsageError: a fraction outside 0 to 1, or layers without their block.
    """
    if fraction is None and per_block is not None:
        if not block or per_block > block:
            raise UsageError("--gdn-layers-per-block needs a --gdn-block-size that is at least as large")
        fraction = per_block / block
    if fraction is not None and not 0 <= fraction <= 1:
        raise UsageError(f"a layer fraction of {fraction:g}", hint="between 0 and 1")
    return Shape(fraction, bound_ms)


def deltas_of(data: Mapping[str, Any], step_delta_ms: float) -> dict[str, Any]:
    """A comparison by xprof beside the step's own difference: raw, never scaled to it."""
    rows = data.get("deltas") or data.get("top") or []
    kept: Sequence[Any] = rows if isinstance(rows, list) else []
    values = [row.get("delta_ms") for row in kept if isinstance(row, dict)]
    explained = sum(value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
    return {"rows": list(kept), "explained_ms": explained, "unexplained_ms": step_delta_ms - explained}
