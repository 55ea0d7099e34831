"""Words for where cycles go, shared by profiles and timelines."""

from cairn.lab.attribution import CORE, ISSUE

NOWHERE = "(grid pipeline and addresses)"  # bundles that the compiler made: block copies, indices, loop control


def cause_of(unit: str, cause: str) -> str:
    """`issue`, or what was waited for: the unit's kind and why, e.g. `mxu result`, `dma wait`, `dma fill`."""
    if unit == CORE:
        return ISSUE
    kind = unit.rstrip("0123456789")
    return f"{kind} {'wait' if cause == kind else cause}"
