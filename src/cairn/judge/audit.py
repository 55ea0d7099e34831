"""The audit of a lowered program: what stands in it that has no place in a kernel."""

from typing import Any

from cairn.judge.replay import ProgramFacts
from cairn.judge.verdict import Ruling


def audit(facts: ProgramFacts) -> Ruling | None:
    """None when nothing is wrong with a program for TPU.

    Callbacks into Python, calls of something that is no kernel, outputs that depend on no input, and inputs that are
    overwritten make it INVALID. Constants, unused inputs and the precision of products are facts for a reader, not
    faults: fresh seeds and the comparison with the truth deal with those.
    """
    if facts.host_callbacks:
        return Ruling("host_callback", ", ".join(facts.host_callbacks))
    if facts.unexpected_calls:
        return Ruling("unexpected_call", ", ".join(facts.unexpected_calls))
    if facts.donated_inputs:
        return Ruling("donated_input", f"inputs {list(facts.donated_inputs)}")
    if facts.constant_outputs:
        return Ruling("constant_output", f"outputs {list(facts.constant_outputs)}")
    return None


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
