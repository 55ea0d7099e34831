"""`cairn lab compile` and `predict`: the same subject on each target, as data and as tables."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.table import Table

from cairn.cli.lab_subjects import Wish
from cairn.cli.tables import microseconds, rendered
from cairn.lab import chip
from cairn.lab.bench import Answer, Bench
from cairn.lab.facts import UNITS, facts_of

_MOST_COPIES = 12
_MIB = 2**20


def predict_all(wish: Wish) -> list[dict[str, Any]]:
    """Predictions for every target, as data."""
    return [answer.as_data() for answer in _each(wish, lambda bench: bench.predict(wish.subject))]


def compile_all(wish: Wish) -> list[dict[str, Any]]:
    """What the compiler said for every target, as data."""
    return [_compiled_data(answer) for answer in _each(wish, lambda bench: bench.compile(wish.subject))]


def _each(wish: Wish, ask: Callable[[Bench], Answer]) -> list[Answer]:
    answers = []
    for target in wish.targets:
        with wish.bench(target) as bench:
            answers.append(ask(bench))
    return answers


def _compiled_data(answer: Answer) -> dict[str, Any]:
    data = answer.as_data()
    for name in ("us", "low_us", "high_us", "breakdown", "flags", "cycles", "mxu_util", "hbm_bytes", "refused"):
        del data[name]
    for name in ("spills", "fills", "bundles", "same_kernel_margin"):
        del data[name]
    compiled = answer.compiled
    names = [] if compiled is None else _kernel_names(answer)
    figures = chip.load(answer.target)
    facts = [] if compiled is None else [facts_of(compiled.dump, name, figures) for name in names]
    return {
        **data,
        "kind": "compiled",
        "seconds": {} if compiled is None else dict(compiled.seconds),
        "operands": None if compiled is None else compiled.operands,
        "kernels": [asdict(fact) for fact in facts],
    }


def _kernel_names(answer: Answer) -> list[str]:
    """Custom calls that have a program of their own; fusions of a program without kernels."""
    assert answer.compiled is not None
    dumped = answer.compiled.dump.bundles
    kernels = [name for name in answer.compiled.custom_calls if name in dumped]
    return kernels or [name for name in dumped if name != "TLP"]


def predict_text(answers: list[dict[str, Any]]) -> str:
    """A table with one row a target, then reasons and flags."""
    table = Table(
        "target", "predicted us", "interval", "where it goes", "MXU", "HBM MiB", title=answers[0]["subject"]
    )
    notes = []
    for answer in answers:
        if answer["us"] is None:
            table.add_row(answer["target"], "-", "-", "-", "-", "-")
            notes.append(f"{answer['target']}: no number: {answer['refused']}")
            if answer["failure"] is not None:
                notes += _failure_lines(answer["failure"])
            elif answer["hint"]:
                notes.append(f"    fix: {answer['hint']}")
            continue
        interval = f"{microseconds(answer['low_us'])} to {microseconds(answer['high_us'])}"
        shares = ", ".join(share(name, us, answer["us"]) for name, us in _largest(answer["breakdown"]))
        table.add_row(
            answer["target"],
            microseconds(answer["us"]),
            interval,
            shares,
            f"{answer['mxu_util']:.0%}",
            f"{answer['hbm_bytes'] / _MIB:,.1f}",
        )
        notes += [f"{answer['target']}: {flag}" for flag in answer["flags"]]
    return rendered(table, *notes, _versions(answers[0]))


def _largest(breakdown: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(((name, us) for name, us in breakdown.items() if us > 0), key=lambda part: -part[1])


def share(name: str, us: float, whole_us: float) -> str:
    """`waiting for copies 62 %`."""
    words = {
        "issue": "issue", "mxu_stall": "waiting for the matrix units", "unit_stall": "waiting for other units",
        "dma_wait": "waiting for copies", "neighbours": "XLA round the kernels",
    }  # fmt: skip
    return f"{words.get(name, name)} {us / whole_us:.0%}"


def compile_text(answers: list[dict[str, Any]]) -> str:
    """For each target memory, then each kernel's units, buffers and copies; or the error."""
    parts: list[Any] = []
    for answer in answers:
        parts.append(f"{answer['subject']} for {answer['target']}")
        if answer["failure"] is not None:
            parts += [f"  does not compile: {answer['failure']['kind']}", *_failure_lines(answer["failure"])]
            continue
        memory = {name.removesuffix("_size_in_bytes"): size for name, size in answer["memory_bytes"].items()}
        parts.append("  HBM: " + ", ".join(f"{name} {size / _MIB:,.2f} MiB" for name, size in memory.items()))
        for kernel in answer["kernels"]:
            parts += _kernel_parts(kernel)
        if not answer["custom_calls"]:
            parts.append("  no Pallas kernel in it: all of it is XLA's own work")
    return rendered(*parts, _versions(answers[0]))


def _kernel_parts(kernel: dict[str, Any]) -> list[Any]:
    units = [f"{UNITS[unit]} {use:.0%}" for unit, use in kernel["unit_use"].items() if use > 0]
    vmem = "not told" if kernel["vmem_bytes"] is None else f"{kernel['vmem_bytes'] / _MIB:,.2f} MiB"
    lines: list[Any] = [
        f"  {kernel['name']}: {kernel['bundles']} bundles, {kernel['spills']} spills, {kernel['fills']} fills, "
        f"VMEM {vmem}",
        f"    slots filled, in the text: {', '.join(units) or 'none'}",
    ]
    for buffer in kernel["buffers"]:
        lines.append(
            f"    VMEM {buffer['bytes'] / _MIB:8.3f} MiB  {buffer['what']} {buffer['shape']}"
            + (f", {buffer['buffers']} copies" if buffer["buffers"] > 1 else "")
        )
    for copy in kernel["copies"][:_MOST_COPIES]:
        size = "size computed" if copy["bytes"] is None else f"{copy['bytes'] / 1024:,.0f} KiB"
        lines.append(f"    copy {copy['direction'].replace('_', ' ')}, {size}" + _at(copy["source"]))
    if len(kernel["copies"]) > _MOST_COPIES:
        lines.append(f"    and {len(kernel['copies']) - _MOST_COPIES} more copies")
    return lines


def _at(source: str | None) -> str:
    return f", {source}" if source else ""


def _failure_lines(failure: dict[str, Any]) -> list[str]:
    return [f"    {failure['line']}{_at(failure['source'])}", f"    fix: {failure['hint']}"]


def _versions(answer: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in answer["versions"].items())
