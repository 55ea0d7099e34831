"""What a verdict over several bench shapes rests on: the cost at every shape, not only at the one that is quoted.

The microseconds that people read are those of the first shape. The judge decides over all of them, so an attempt can
be cheaper there and lose. Wherever two attempts are compared, and wherever a verdict is told, it is over all shapes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cairn.judge.verdict import geometric_mean


def over_all_shapes(receipt: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger keeps of a receipt with several shapes; nothing for one shape or an incomplete cost.

    `mean_us`: geometric mean over the shapes; `ratios`: cost over the incumbent's at each shape, in their order.
    """
    mine, theirs, ratios = _by_shape(receipt["cost"])
    if len(mine) < 2 or len(mine) != len(theirs):
        return {}
    return {"mean_us": geometric_mean(mine), "incumbent_mean_us": geometric_mean(theirs), "ratios": ratios}


def _by_shape(cost: Mapping[str, Any]) -> tuple[list[float], list[float], list[float]]:
    """Microseconds of the variant and of its incumbent and their ratio, shape by shape, as far as they are known."""
    if cost["kind"] == "measured":
        names = ("candidate_us", "incumbent_us", "ratio")
        mine, theirs, ratios = ([row[name] for row in cost["timings"]] for name in names)
        return mine, theirs, ratios  # the ratio is that of pairs, not of the two medians
    both = (cost["shapes"], cost["incumbent"])
    mine, theirs = ([row["predicted_us"] for row in rows if row["predicted_us"]] for rows in both)
    return mine, theirs, [one / other for one, other in zip(mine, theirs, strict=False)]


def ratio_words(ratio: float, ratios: Sequence[float], digits: int = 3) -> str:
    """A ratio to the incumbent; with several shapes also the ratio at each of them, the quoted one first."""
    if not ratios:
        return f"{ratio:.{digits}f}"
    each = ", ".join(f"{one:.{digits}f}" for one in ratios)
    return f"{ratio:.{digits}f} over {len(ratios)} shapes ({each})"
