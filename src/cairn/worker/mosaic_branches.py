"""Branches of a kernel that depend on data.

A branch on the grid's indices is how kernels begin and end a sum. A branch on a loaded or computed float can tell this
machine's arithmetic from the chip's, so that another path is replayed than the one that is priced: rare in honest
kernels, and worth a look in any.
"""

from typing import Any

from jaxlib.mlir import ir
from mosaic_types import kind_of  # type: ignore[import-not-found]

_BRANCHES = {"scf.if": 0, "scf.index_switch": 0, "scf.for": 1, "scf.condition": 0}  # the operand that decides
_LOADS = {
    "memref.load",
    "vector.load",
    "tpu.vector_load",
    "tpu.strided_load",
    "tpu.sem_read",
    "tpu.dynamic_gather",
}
_LOOPS = {"scf.for", "scf.while"}


def data_branches(function: Any) -> list[str]:
    """`scf.if` and the like whose condition comes from memory or from a float, in the order of the text."""
    found = []
    for operation in _inside(function):
        place = _BRANCHES.get(operation.name)
        if place is not None and _from_data(operation.operands[place], set()):
            found.append("scf.while" if operation.name == "scf.condition" else str(operation.name))
    return found


def _inside(operation: Any) -> Any:
    for region in operation.regions:
        for block in region:
            for view in block:
                yield view.operation
                yield from _inside(view.operation)


def _from_data(value: Any, seen: set[Any]) -> bool:
    if value in seen:
        return False
    seen.add(value)
    if not str(value.type).startswith("memref"):
        kind = kind_of(value.type)
        if kind is None or kind.is_float:
            return True
    if isinstance(value.owner, ir.Block):
        return any(_from_data(source, seen) for source in _sources_of_argument(value))
    operation = value.owner
    if operation.name in _LOADS:
        return True
    sources = [source for source in operation.operands if not str(source.type).startswith("memref")]
    sources += [source for last in _terminators(operation) for source in last.operands]
    return any(_from_data(source, seen) for source in sources)


def _sources_of_argument(argument: Any) -> list[Any]:
    """What a block's argument may be: a loop's bounds, first values and results; nothing for the grid's indices."""
    parent = argument.owner.owner
    if parent.name not in _LOOPS:
        return []
    return [*parent.operands, *(source for last in _terminators(parent) for source in last.operands)]


def _terminators(operation: Any) -> list[Any]:
    lasts = []
    for region in operation.regions:
        for block in region:
            views = list(block)
            lasts += [views[-1].operation] if views else []
    return lasts
