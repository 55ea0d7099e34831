"""`cairn lab interpret`: findings of the interpreters, and for a problem how far the results are from the reference."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from cairn.cli.lab_subjects import Wish, wish_of
from cairn.cli.tables import rendered
from cairn.errors import UsageError
from cairn.lab.interpreted import WAYS, Report, interpret
from cairn.lab.lowering import Lowerer


def interpreted(subject: str, root: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Findings, runs and errors as data.

    Raises:
        UsageError: an exported program, which has no function to run.
    """
    wish = wish_of(subject, root, {**options, "small": True})
    if wish.subject.function is None:
        raise UsageError("an exported program cannot be interpreted", hint="name its function: FILE.py:FUNCTION")
    errors: list[dict[str, Any]] = []
    with Lowerer(wish.python, wish.subject.function, wish.targets[0], timeout_s=wish.timeout_s) as lowerer:
        ways = options["ways"] or WAYS
        settings: dict[str, Any] = {"ways": ways, "seed": options["seed"], "timeout_s": wish.timeout_s}
        if wish.problem is None:
            report = interpret(lowerer, wish.subject.request, **settings)
        else:
            report, errors = _against_reference(wish, lowerer, settings)
    runs = [{name: run.get(name) for name in ("way", "seconds", "races", "nan_share")} for run in report.runs]
    return {
        "subject": wish.subject.name,
        "shape": wish.shape,
        "findings": [asdict(finding) for finding in report.findings],
        "failure": None if report.failure is None else asdict(report.failure),
        "reference_errors": errors,
        "runs": runs,
    }


def _against_reference(
    wish: Wish, lowerer: Lowerer, settings: dict[str, Any]
) -> tuple[Report, list[dict[str, Any]]]:
    """Run on inputs of the problem and compare with its reference."""
    import numpy as np

    from cairn.judge.correctness import Wire, decode
    from cairn.judge.protocol import Oracle

    assert wish.problem is not None
    assert wish.shape is not None
    oracle = Oracle(wish.problem, wish.python)
    try:
        draw = oracle.draw(settings["seed"], wish.shape, wish.problem.families[0])
    finally:
        oracle.close()
    report = interpret(lowerer, wish.subject.request, inputs=(draw.specs, draw.blobs), **settings)
    errors: list[dict[str, Any]] = []
    for name, spec, blob, truth in zip(
        wish.problem.outputs, report.outputs, report.blobs, draw.truth, strict=False
    ):
        mine = decode(Wire(spec["dtype"], tuple(spec["shape"]), blob)).astype(np.float64)
        if mine.shape != truth.shape:
            errors.append({"output": name, "error": None, "shape": list(mine.shape)})
            continue
        scale = float(np.sqrt(np.mean(np.square(truth)))) or 1.0
        errors.append({"output": name, "error": float(np.sqrt(np.mean(np.square(mine - truth)))) / scale})
    return report, errors


def interpret_text(data: dict[str, Any]) -> str:
    """Findings first, then what was run."""
    parts: list[Any] = []
    if data["failure"] is not None:
        where = f", {data['failure']['source']}" if data["failure"]["source"] else ""
        parts.append(f"does not run: {data['failure']['kind']}: {data['failure']['line']}{where}")
        parts.append(f"    fix: {data['failure']['hint']}")
    for finding in data["findings"]:
        where = f", {finding['source']}" if finding["source"] else ""
        parts.append(f"{finding['kind']} ({finding['way']}): {finding['line']}{where}\n    fix: {finding['hint']}")
    if not parts:
        parts.append("nothing found; that is no proof (docs/lab.md)")
    runs = Table("run", "seconds", "races", "NaN", title=data["subject"])
    for run in data["runs"]:
        nan = "-" if run["nan_share"] is None else f"{run['nan_share']:.1%}"
        runs.add_row(run["way"], f"{run['seconds']:.1f}", "yes" if run["races"] else "no", nan)
    errors = [
        f"{error['output']}: error against the reference {error['error']:.2e} (rms)"
        for error in data["reference_errors"]
        if error["error"] is not None
    ]
    return rendered(*parts, *([runs] if data["runs"] else []), *errors)
