"""The audit of a lowered program: what stands in it that has no place in a kernel, or less precision than declared."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from cairn.judge.replay import ProgramFacts
from cairn.judge.verdict import Ruling

_TYPES = {
    "f64": "float64",
    "f32": "float32",
    "bf16": "bfloat16",
    "f16": "float16",
    "f8E4M3FN": "float8_e4m3fn",
    "f8E5M2": "float8_e5m2",
    **{f"{sign}i{bits}": f"{name}int{bits}" for sign, name in (("", ""), ("u", "u")) for bits in (4, 8, 16, 32)},
}
# along a line each type holds every value of those after it
_LINES = (
    ("float64", "float32", "float32_3x", "tensorfloat32", "bfloat16", "float8_e4m3fn"),
    ("float64", "float32", "float32_3x", "tensorfloat32", "bfloat16", "float8_e5m2"),
    ("float64", "float32", "float32_3x", "tensorfloat32", "float16", "float8_e4m3fn"),
    ("float64", "float32", "float32_3x", "tensorfloat32", "float16", "float8_e5m2"),
)
# what jax's precisions make of float32 operands outside of kernels, by platform
_FLOAT32 = {
    "tpu": {"DEFAULT": "bfloat16", "HIGH": "float32_3x", "HIGHEST": "float32"},
    "cuda": {"DEFAULT": "tensorfloat32", "HIGH": "tensorfloat32", "HIGHEST": "float32"},
    "cpu": {"DEFAULT": "float32", "HIGH": "float32", "HIGHEST": "float32"},
}


def audit(facts: ProgramFacts, dots: Sequence[str], platform: str) -> Ruling | None:
    """None when nothing is wrong with a program.

    Callbacks into Python, calls of something that is no kernel, outputs that depend on no input, and inputs that are
    overwritten make it INVALID. Products of types that the problem does not list in `dots` make it DISCARD, unless they
    are wider than one that it lists; an empty list allows all. Constants and unused inputs are facts for a reader, not
    faults: fresh seeds, probes and the comparison with the truth deal with those.
    """
    if facts.host_callbacks:
        return Ruling("host_callback", ", ".join(facts.host_callbacks))
    if facts.unexpected_calls:
        return Ruling("unexpected_call", ", ".join(facts.unexpected_calls))
    if facts.donated_inputs:
        return Ruling("donated_input", f"inputs {list(facts.donated_inputs)}")
    if facts.constant_outputs:
        return Ruling("constant_output", f"outputs {list(facts.constant_outputs)}")
    if not facts.flat:
        return Ruling("wrong_shape", "run gives one array or a tuple of arrays, and nothing nested")
    undeclared = sorted(set(products(facts, platform)) - _precise_enough(dots)) if dots else []
    if undeclared:
        return Ruling("low_precision", f"products of {', '.join(undeclared)}; declared: {', '.join(dots)}")
    return None


def _precise_enough(dots: Sequence[str]) -> set[str]:
    """These types and all that hold every value of one of them: more precision than was asked for is no fault.

    What one platform multiplies in bfloat16 by default another multiplies in float32.
    """
    wider = {found for line in _LINES for dot in dots if dot in line for found in line[: line.index(dot)]}
    return wider | set(dots)


def products(facts: ProgramFacts, platform: str) -> Counter[str]:
    """What enters the program's products of matrices, as names of `cairn.problem.DOT_TYPES`, and how often.

    An operand that is rounded on the way in counts as what it is rounded to.
    """
    found: Counter[str] = Counter()
    for text, count in facts.dots.items():
        *sides, precision = text.removeprefix("convolution ").replace(" x ", " ").split()
        found.update({_named(side, _FLOAT32[platform][precision]): count for side in sides})
    for kernel in facts.kernels:
        for matmul in kernel.matmuls:
            whole = "bfloat16" if matmul.precision == "bf16" else "float32"
            elements = [re.split(r"[x<>,]", side.rstrip(">"))[-1] for side in (matmul.lhs, matmul.rhs)]
            found.update({_named(element, whole): matmul.count for element in elements})
    return found


def _named(element: str, float32: str) -> str:
    return float32 if element == "f32" else _TYPES.get(element, element)


def summary(facts: ProgramFacts) -> dict[str, Any]:
    """What a receipt says about a program: kernels alive, precision of products, constants, inputs nobody reads."""
    return {
        "kernels": [
            {
                "name": kernel.name,
                "grid": list(kernel.grid),
                "alive": kernel.name in facts.live_kernels,
                "matmul_flops": kernel.flops if kernel.flops_exact else None,
                "matmul_precisions": sorted({matmul.precision for matmul in kernel.matmuls}),
                "data_branches": list(kernel.data_branches),
            }
            for kernel in facts.kernels
        ],
        "dots": dict(facts.dots),
        "unused_inputs": list(facts.unused_inputs),
        "constant_bytes": facts.constant_bytes,
        "branches": list(facts.branches),
    }
