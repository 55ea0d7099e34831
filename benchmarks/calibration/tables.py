"""The score tables as Markdown, from the committed rows."""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

from calibration import intervals, scores
from calibration.scored import Scored

Pairs = list[tuple[float, float]]
_MANY = 5  # configurations of one problem from which choosing among them is scored


def page(rows: Iterable[Scored]) -> str:
    """All tables."""
    kept = [row for row in rows if not row.noise]
    parts = (_by_group(kept), _by_chip(kept), _left_out(kept), _choices(kept))
    return "\n\n".join("\n".join(part) for part in parts if len(part) > 2) + "\n"


def _by_group(rows: Sequence[Scored]) -> list[str]:
    lines = [
        "| family / chip | rows | n | refused | median ratio | mean error | median error | tau | pairs in order "
        "| inside interval | roofline | bundles | static profile |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for row in rows:
        groups[row.group, row.part].append(row)
    return lines + [_line(*key, members) for key, members in sorted(groups.items())]


def _line(group: str, part: str, members: list[Scored]) -> str:
    known = [row for row in members if row.us is not None]
    head = f"| {group} | {part} | {len(known)} | {len(members) - len(known)} "
    if not known:
        return head + "| | | | | | | | | |"
    pairs = _pairs(known)
    errors = scores.errors(pairs)
    right, far = scores.pair_order(pairs)
    cells = (
        f"{scores.median_ratio(pairs):.3f}",
        f"{statistics.fmean(errors):.1%}",
        f"{statistics.median(errors):.1%}",
        f"{scores.kendall(pairs):.3f}" if len(pairs) > 2 else "",
        f"{right}/{far}" if far else "",
        f"{sum(row.inside for row in known)}/{len(known)}",
        _baseline([(row.roofline_us, row.measured_us) for row in known]),
        _baseline([(row.bundles_us, row.measured_us) for row in known]),
        _baseline([(row.static_us, row.measured_us) for row in known if row.static_us is not None]),
    )
    return head + "| " + " | ".join(cells) + " |"


def _pairs(rows: Iterable[Scored]) -> Pairs:
    return [(row.us, row.measured_us) for row in rows if row.us is not None]


def _baseline(pairs: Pairs) -> str:
    """Median error and, from three rows on, tau."""
    if not pairs:
        return ""
    error = f"{statistics.median(scores.errors(pairs)):.0%}"
    return f"{error}, {scores.kendall(pairs):.2f}" if len(pairs) > 2 else error


def _by_chip(rows: Sequence[Scored]) -> list[str]:
    lines = [
        "| chip, held-out rows | n | refused | median ratio | median error | within 25 % | inside interval |",
        "|---|---|---|---|---|---|---|",
    ]
    chips: dict[str, list[Scored]] = defaultdict(list)
    for row in rows:
        if row.part == "heldout":
            chips[row.target].append(row)
    for chip, members in sorted(chips.items()):
        known = [row for row in members if row.us is not None]
        if known:
            errors = [row.error for row in known]
            lines.append(
                f"| {chip} | {len(known)} | {len(members) - len(known)} | {scores.median_ratio(_pairs(known)):.3f} "
                f"| {statistics.median(errors):.1%} | {sum(error <= 0.25 for error in errors)}/{len(known)} "
                f"| {sum(row.inside for row in known)}/{len(known)} |"
            )
    return lines


def _left_out(rows: Sequence[Scored]) -> list[str]:
    """Whether intervals hold for a family that had no part in them."""
    lines = [
        "| chip, intervals from all other families | held-out rows | inside | families with a row outside |",
        "|---|---|---|---|",
    ]
    chips: dict[str, list[tuple[Scored, bool]]] = defaultdict(list)
    for row, inside in intervals.left_out(rows):
        chips[row.target].append((row, inside))
    for chip, judged in sorted(chips.items()):
        inside = sum(was for _, was in judged)
        missed = ", ".join(sorted({row.family for row, was in judged if not was}))
        lines.append(f"| {chip} | {len(judged)} | {inside} ({inside / len(judged):.0%}) | {missed} |")
    return lines


def _choices(rows: Sequence[Scored]) -> list[str]:
    """Problems of which several configurations were measured: what choosing by the predictions would cost."""
    lines = [
        "| sweep | configurations | tau | pairs in order | place of the measured best | top 1 | top 3 | regret |",
        "|---|---|---|---|---|---|---|---|",
    ]
    problems: dict[str, list[Scored]] = defaultdict(list)
    for row in rows:
        if row.us is not None:
            problems[f"{row.group}, {row.problem}"].append(row)
    for problem, members in sorted(problems.items()):
        pairs = _pairs(members)
        if len(pairs) >= _MANY and len({row.roofline_us for row in members}) == 1:
            place, regret = scores.choice(pairs)
            right, far = scores.pair_order(pairs)
            hits = f"{'yes' if place == 1 else 'no'} | {'yes' if place <= 3 else 'no'}"
            lines.append(
                f"| {problem} | {len(pairs)} | {scores.kendall(pairs):.3f} | {right}/{far} | {place} | {hits} "
                f"| {regret:.1%} |"
            )
    return lines
