"""Which line of the user's asked for an operation that has no lowering.

jax names the operation; the line it gives lies inside its own library when the operation stands in a function that
jax jits itself (`jnp.sort`). The line outside is found by looking for the operation in the traced program.
"""

import re
from collections.abc import Iterator
from typing import Any

import jax

_PRIMITIVE = re.compile(r"primitive in Pallas TPU lowering for \S+: (\w+)")


def place_of(error: NotImplementedError, call: Any) -> str | None:
    """`FILE:LINE` of the operation that an error of lowering names; None when it is not found in the call."""
    named = _PRIMITIVE.search(str(error))
    if named is None:
        return None
    try:
        from jax._src import source_info_util
    except ImportError:  # a private place of jax
        return None
    for lines in _found(jax.make_jaxpr(call.function)(*call.parameters).jaxpr, named[1], ()):
        for equation in reversed(lines):  # the innermost line that is not jax's own
            frame = source_info_util.user_frame(equation.source_info.traceback)
            if frame is not None and "site-packages" not in frame.file_name:
                return f"{frame.file_name}:{frame.start_line}"
    return None


def _found(jaxpr: Any, primitive: str, above: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Chains of equations from the outermost down to one of that operation."""
    for equation in jaxpr.eqns:
        chain = (*above, equation)
        if equation.primitive.name == primitive:
            yield chain
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program):
            if _is_program(value):
                yield from _found(getattr(value, "jaxpr", value), primitive, chain)


def _is_program(value: Any) -> bool:
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")
