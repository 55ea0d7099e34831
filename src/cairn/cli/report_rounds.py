"""A batch round's folder as the rows a report is made of.

Other tools wrote these files: their gains are reported, not judged here. The results gate says how far each may be
believed, and its word stands in the row; a result that it contradicts is INVALID whatever it claims.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from cairn.cli.report_find import Source
from cairn.cli.round_facts import verdicts
from cairn.report.rows import Alert, Attempt, Run
from cairn.rounds.digest import kernel_of
from cairn.rounds.lineages import lineage_of
from cairn.rounds.reading import COMPILE_ERROR, MISSING, SUCCESS, Round, Variant, read_run
from cairn.rounds.reading import Run as RoundsRun
from cairn.rounds.trust import NOT_CHECKED, UNTRUSTED, Trust

_ERROR_CHARS = 2_000
_NOTE = (
    "these gains were reported by the tool that wrote the files; the judge has not seen the kernels, and the results "
    "gate says in each row how far it may be believed"
)


def rounds_run(source: Source) -> Run:
    """Every variant of every round.

    Raises:
        BadInput: the folder cannot be read.
    """
    run = read_run(source.folder)
    trust = verdicts(run)
    rows = [
        _attempt(run, each, variant, trust.get(variant.path, NOT_CHECKED))
        for each in run.rounds
        for variant in each.variants
    ]
    alerts = [Alert(level="note", text=_NOTE)] if rows else []
    alerts += [Alert(level="warning", text=fault) for fault in run.faults]
    return Run(
        name=source.folder.resolve().name,
        source="rounds",
        problem=kernel_of(source.folder),
        kind="reported",
        state="ended" if rows else "empty",
        reason=f"{len(run.rounds)} rounds" if rows else "",
        attempts=_with_parents(run, rows),
        environment=_environment(run),
        alerts=alerts,
        files={"folder": str(source.folder)},
    )


def _attempt(run: RoundsRun, this: Round, variant: Variant, trust: Trust) -> Attempt:
    lineage = lineage_of(variant.name, run.lineages) or ""
    kept = _is_in_a_history(run, this.number, variant.name)
    words = [trust.status, *trust.codes[:4]]
    latency = f"; latency {variant.latency_ms:g} ms as reported" if variant.latency_ms is not None else ""
    return Attempt(
        id=f"{this.number}/{variant.name}",
        round=this.number,
        lineage=lineage,
        phase="decided",
        hypothesis=variant.intent.motive or variant.intent.direction or variant.name,
        idea_class=variant.intent.direction,
        verdict=_verdict(variant, trust, kept=kept),
        reason=_reason(variant, trust),
        detail=f"{trust.level}: {', '.join(words)}{latency} {variant.error[:_ERROR_CHARS]}".strip(),
        decision="kept" if kept else "no result" if variant.status == MISSING else "not selected",
        kind="reported",
        speedup=variant.speedup,
    )


def _verdict(variant: Variant, trust: Trust, *, kept: bool) -> str:
    if variant.status == MISSING:
        return ""
    if trust.level == UNTRUSTED and variant.status == SUCCESS:
        return "INVALID"
    if variant.status == SUCCESS:
        return "KEEP" if kept else "DISCARD"
    return "CRASH" if variant.status == COMPILE_ERROR else "DISCARD"


def _reason(variant: Variant, trust: Trust) -> str:
    if variant.status == MISSING:
        return "missing"
    contradicted = trust.level == UNTRUSTED and variant.status == SUCCESS and trust.codes
    return trust.codes[0] if contradicted else trust.status


def _histories(run: RoundsRun) -> Mapping[str, list[str]]:
    rows = [row for row in run.lineages.get("lineages") or () if isinstance(row, dict)]
    return {str(row.get("id")): [str(each) for each in row.get("history") or ()] for row in rows}


def _is_in_a_history(run: RoundsRun, number: int, name: str) -> bool:
    return any(
        _place(step) in _names(number, name, lineage) for lineage, each in _histories(run).items() for step in each
    )


def _place(step: str) -> tuple[str, str]:
    """`iter-4-fold_dh` as round and name."""
    _, _, rest = step.partition("-")
    number, _, name = rest.partition("-")
    return number, name


def _names(number: int, name: str, lineage: str) -> set[tuple[str, str]]:
    """The ways in which a history may name a variant: with the lineage before its name, or without."""
    return {(str(number), name), (str(number), name.removeprefix(f"{lineage}_"))}


def _with_parents(run: RoundsRun, rows: list[Attempt]) -> list[Attempt]:
    """Each kept variant on the one before it in its lineage; the others of a lineage on its last kept one."""
    last: dict[str, str] = {}
    found = []
    for number in sorted({each.round for each in rows if each.round is not None}):
        these = [each for each in rows if each.round == number]
        found += [msgspec.structs.replace(each, parent=last.get(each.lineage, "")) for each in these]
        last |= {each.lineage: each.id for each in these if each.decision == "kept" and each.lineage}
    return found


def _environment(run: RoundsRun) -> dict[str, str]:
    """Chip and versions as the results name them, when all name the same."""
    made: dict[str, set[str]] = {}
    for each in run.rounds:
        for variant in each.variants:
            facts: Mapping[str, Any] = variant.made_with
            for name, value in facts.items():
                made.setdefault(name, set()).add(str(value))
    return {name: ", ".join(sorted(values)) for name, values in made.items()}
