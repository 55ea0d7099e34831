"""What Pallas' fast interpreter does not carry out as a chip does: writes into what a kernel was given.

The interpreter keeps inputs and outputs apart. A kernel that takes over an input's memory for its output may write to
either name of it on a chip; here what goes to the input's name is lost, and a right kernel would look wrong. A core
map is lowered to such a kernel, whatever it writes.
"""

from collections.abc import Iterator
from typing import Any

from jax.extend.core import jaxprs_in_params

# a variant that says neither has no kernel of this kind, and need not be traced once more
WORDS = (b"core_map", b"input_output_aliases")


def lost_write(jaxpr: Any) -> str:
    """What in a traced program would be lost, in words; empty where nothing is."""
    for equation in _equations(jaxpr):
        if equation.primitive.name == "core_map":
            return "pl.core_map has no interpreter that keeps what it writes; pl.kernel has"
        if equation.primitive.name == "pallas_call" and _writes_to_its_input(equation.params):
            return (
                "a kernel writes to an input whose memory its output takes over; a processor keeps the two apart"
            )
    return ""


def _equations(jaxpr: Any) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from _equations(inner)


def _writes_to_its_input(params: dict[str, Any]) -> bool:
    kernel = params["jaxpr"]
    taken = {kernel.invars[operand] for operand, _ in params["input_output_aliases"]}
    written = {effect.input for effect in kernel.effects if type(effect).__name__ == "WriteEffect"}
    return bool(taken & written)
