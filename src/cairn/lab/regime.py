"""What bounds a program, by its own breakdown: the family whose held-out error a prediction's interval takes.

A user's kernel has no family in the calibration's sense, so families are told from the compiled program alone.
"""

from collections.abc import Mapping

REGIMES = ("matrix", "copies", "issue", "neighbours")
_MOST = 0.5
_MANY_WAITS = 0.3


def regime(breakdown: Mapping[str, float], mxu_util: float) -> str:
    """`neighbours`: half the time is XLA's own work round the kernels; `copies`: three tenths are waits for copies;
    `matrix`: the matrix units are busy half the time; `issue`: none of these, the core's own bundles.
    """
    total = sum(breakdown.values())
    if total <= 0.0:
        return "issue"
    if breakdown.get("neighbours", 0.0) > _MOST * total:
        return "neighbours"
    if breakdown.get("dma_wait", 0.0) > _MANY_WAITS * total:
        return "copies"
    return "matrix" if mxu_util > _MOST else "issue"
