"""`batch_analysis.md` and `selection.md`, written from data under the headings that readers expect."""

from collections.abc import Iterable, Sequence

from cairn.learnings.signature import decisive_line
from cairn.rounds.lineages import Selection, lineage_of
from cairn.rounds.reading import Round, Run, Variant
from cairn.rounds.trust import NOT_CHECKED, Verdicts
from cairn.text.table import cell, figure, table

MARK = "<!-- cairn:{name} schema=1 round={number} -->"


def batch_analysis(run: Run, this: Round, verdicts: Verdicts) -> str:
    """The ranking of a round, its failures and the trend of its lineages."""
    ranked = sorted(this.variants, key=lambda each: (-(each.speedup or 0.0), each.name))
    best = next((each for each in ranked if each.speedup is not None), None)
    good = sum(each.speedup is not None for each in ranked)
    rows = [
        [
            str(place) if variant.speedup is not None else "--",
            variant.name,
            variant.status,
            figure(variant.speedup, "x"),
            figure(variant.latency_ms),
            verdicts.get(variant.path, NOT_CHECKED).level,
            variant.intent.direction or "--",
        ]
        for place, variant in enumerate(ranked, start=1)
    ]
    failed = [
        [each.name, verdicts.get(each.path, NOT_CHECKED).status, decisive_line(each.error) or each.fault or "--"]
        for each in ranked
        if each.speedup is None
    ]
    lines = [
        MARK.format(name="batch-analysis", number=this.number),
        f"## Round {this.number} Batch Analysis",
        "",
        f"**Variants evaluated**: {len(ranked)}",
        f"**Successes**: {good} | **Failures**: {len(ranked) - good}",
        f"**Best speedup this round**: {figure(best.speedup, 'x')} ({cell(best.name)})"
        if best
        else "**No success**",
        "",
        "### Comparative Ranking",
        "",
        *table(["Rank", "Variant", "Status", "Speedup", "Latency (ms)", "Trust", "Direction"], rows),
        "",
        "### Failed Variants Summary",
        "",
        *(table(["Variant", "Class", "Message"], failed) if failed else ["None."]),
        "",
        "### Lineage Trends",
        "",
        *_trends(run, this),
    ]
    return "\n".join(lines) + "\n"


def _trends(run: Run, this: Round) -> list[str]:
    """Best speedup of each lineage, round by round."""
    found: dict[str, list[str]] = {}
    for each in run.rounds:
        best: dict[str, Variant] = {}
        for variant in each.variants if each.number <= this.number else ():
            name = lineage_of(variant.name, run.lineages)
            if name and (variant.speedup or 0.0) > (best[name].speedup or 0.0 if name in best else 0.0):
                best[name] = variant
        for name, variant in best.items():
            found.setdefault(name, []).append(f"round {each.number} {figure(variant.speedup, 'x')}")
    return [f"- **{name}**: {', '.join(steps)}" for name, steps in sorted(found.items())] or ["None yet."]


def selection_page(this: Round, selection: Selection) -> str:
    """What was selected, what was not and why, and the lineages afterwards."""
    chosen = [
        [
            each.lineage,
            each.variant.name,
            figure(each.speedup, "x"),
            each.variant.intent.direction or "--",
            "new best of its lineage" if each.improved else "best of its lineage this round, no gain",
        ]
        for each in selection.selected
    ]
    left = [[each.name, each.status, figure(each.speedup, "x"), why] for each, why in selection.rejected]
    rows = selection.lineages["lineages"]
    lines = [
        MARK.format(name="selection", number=this.number),
        f"## Round {this.number} Selection",
        "",
        f"### Selected (Top-{selection.lineages['config']['top_k']})",
        "",
        *_or_none(table(["Lineage", "Variant", "Speedup", "Direction", "Rationale"], chosen), chosen),
        "",
        "### Not Selected",
        "",
        *_or_none(table(["Variant", "Status", "Speedup", "Reason"], left), left),
        "",
        "### Lineage Updates",
        "",
        *_or_none([_update(row) for row in rows], rows),
        *[f"- **{name}**: pruned" for name in selection.pruned],
        "",
        "### Lineages.json Status",
        "",
        f"- Active lineages: {len(rows)}",
        f"- Pruned: {len(selection.lineages['pruned'])}",
        f"- Current round: {this.number}",
    ]
    return "\n".join(lines) + "\n"


def _update(row: dict[str, object]) -> str:
    return (
        f"- **{row.get('id')}**: best {row.get('best_speedup')}x, {cell(str(row.get('direction') or '--'))}, "
        f"{row.get('stagnant_rounds')} rounds without gain"
    )


def _or_none(lines: Iterable[str], rows: Sequence[object]) -> list[str]:
    return list(lines) if rows else ["None."]
