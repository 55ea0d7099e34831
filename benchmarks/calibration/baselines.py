"""What the model has to beat: a roofline, and counting executed bundles. Both in microseconds."""

import math
import re
from typing import Any

from cairn.lab.chip import load
from cairn.lab.predict import Prediction
from cairn.roofline import chips

_TENSOR = re.compile(r"(\w+)\[([\d,]*)\]")


def roofline_us(row: dict[str, Any], target: str, result: Any) -> float:
    """The slower of operands and results at the memory's peak, and operations at the matrix units' peak."""
    chip = chips()[target]
    bytes_ = result.memory.get("argument_size_in_bytes", 0) + result.memory.get("output_size_in_bytes", 0)
    return max(bytes_ / (chip.hbm_gb_s * 1e3), operations(row, result) / (chip.peak_tflops("bfloat16") * 1e6))


def bundles_us(prediction: Prediction, target: str) -> float:
    """Executed bundles of everything that was simulated, at the nominal clock."""
    return prediction.bundles / (load(target).clock_ghz * 1000.0)


def operations(row: dict[str, Any], result: Any) -> float:
    """Floating-point operations of the algorithm; XLA's own count where the program has no kernel."""
    family, shape = row["family"], row["shape"]
    if family.endswith("_matmul"):
        return 2.0 * shape["M"] * shape["N"] * shape["K"]
    if family == "tokamax_gmm":
        rows, inner = _dims(shape["lhs"])
        return 2.0 * rows * inner * (_dims(shape["rhs"])[-1] if len(_dims(shape["rhs"])) == 2 else _grouped(shape))
    if family.startswith("tokamax_fa"):
        batch, queries, heads, depth = _dims(shape["q"])
        products = 2 if family.endswith("fwd") else 5
        half = 0.5 if shape["mask"]["is_causal"] else 1.0
        return 2.0 * products * half * batch * heads * queries * _dims(shape["k"])[1] * depth
    if family.startswith("tokamax_lce"):
        products = 1 if family.endswith("fwd") else 3
        return 2.0 * products * math.prod(_dims(shape["x"])) * _dims(shape["w"])[1]
    return float(result.cost.get("flops", 0.0))


def _grouped(shape: dict[str, Any]) -> int:
    """The dimension of the right side that is not summed over."""
    _, *rest = _dims(shape["rhs"])
    summed = shape["ragged_dot_dimension_numbers"]["dot_dimension_numbers"][0][1][0]
    return rest[1] if summed == 1 else rest[0]


def _dims(text: str) -> tuple[int, ...]:
    match = _TENSOR.fullmatch(text)
    assert match is not None, text
    return tuple(int(n) for n in match[2].split(",") if n)
