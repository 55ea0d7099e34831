"""Kernels that do not lower or compile: each gives its class, the marked line where one is to blame, and a hint."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cairn.lab.bench import Bench
from cairn.lab.failures import KINDS
from cairn.lab.lowering import Request
from cairn.lab.subject import Subject
from cairn.lab.user_files import find

pytestmark = pytest.mark.tpu_compiler
FILE = Path(__file__).with_name("broken_kernels.py")

# name: class, words of its hint, words of the line
CASES = {
    "block_not_divisible": ("block_shape", "divisible by (8, 128)", "last two dimensions"),
    "block_of_other_rank": ("block_shape", "as many dimensions", "same number of dimensions"),
    "index_map_too_short": ("block_shape", "as many dimensions", "must return 2 values"),
    "index_map_of_other_grid": ("arguments", "one index for each axis", "'j'"),
    "sorts": ("unsupported", "supported ones", "sort"),
    "scalar_into_vmem": ("unsupported", "supported ones", "scalars to VMEM"),
    "gathers": ("unsupported", "take_along_axis", "gathers"),
    "fourier": ("dtype", "bfloat16 or float32", "convert_element_type"),
    "cholesky": ("unsupported", "supported ones", "cholesky"),
    "scratch_too_large": ("vmem_oom", "smaller blocks", "256.0 MiB of 128.0 MiB for scratch operand"),
    "blocks_too_large": ("vmem_oom", "smaller blocks", "input 0 f32[8192,8192] twice 512.0 MiB"),
    "blocks_too_large_together": ("vmem_oom", "smaller blocks", "48.0 MiB of 16.0 MiB for blocks alone: input 0"),
    "limit_exceeded": ("vmem_oom", "smaller blocks", "and limit 16.00M exceeded scoped vmem limit by 8.00M: "),
    "one_core_too_few": ("parallel", "use PARALLEL", "greater than the number of active cores"),
    "table_too_large": ("smem_oom", "prefetch fewer scalars", "smem: 4.0 MiB"),
    "program_too_large": ("hbm_oom", "smaller intermediate", "Ran out of memory on HBM"),
    "lanes_not_aligned": ("alignment", "pl.multiple_of", "multiple of 128"),
    "copy_not_aligned": ("alignment", "pl.multiple_of", "divisible by the tile dimension 128"),
    "slice_beyond_the_end": ("bounds", "index map", "start=4, size=8"),
    "store_of_other_type": ("dtype", "astype before a store", "bfloat16"),
    "half_precision_product": ("dtype", "bfloat16 or float32", "Invalid vector type"),
    "complex_numbers": ("dtype", "bfloat16 or float32", "convert_element_type"),
    "reshapes_across_tiles": ("layout", "last two dimensions", "unsupported shape cast"),
    "products_that_do_not_fit": ("shape", "blocks against", "contracting dimensions"),
    "imports_what_is_not_there": ("import", "--with", "No module named 'fast_math_of_mine'"),
    "unknown_name": ("compile_error", "Read the line", "undefined_scale"),
    "too_few_arguments": ("arguments", "one reference for each", "takes 1 positional argument"),
    "captured_array": ("captured", "pass it as an input", "captures constants"),
    "calls_back": ("unsupported", "supported ones", "pure_callback"),
    "branches_on_a_value": ("traced_value", "pl.when", "boolean conversion"),
    "results_of_other_shape": ("shape", "blocks against", "(4, 128)"),
    "random_bits": ("unsupported", "supported ones", "random_gamma"),
    "semaphore_as_data": ("dtype", "bfloat16 or float32", "dma_sem"),
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench(Path(sys.executable), "tpu-v5e", timeout_s=100) as running:
        yield running


@pytest.fixture(scope="module")
def function():
    return find(f"{FILE}:case")


def marked_line(name: str) -> int | None:
    """The line with the mark inside the function of that name."""
    inside = False
    for number, line in enumerate(FILE.read_text().splitlines(), 1):
        if line.startswith("def "):
            inside = line.startswith(f"def {name}(")
        if inside and line.endswith("# <-"):
            return number
    return None


@pytest.mark.parametrize("name", CASES)
def test_class_line_and_hint(bench, function, name):
    kind, hint, words = CASES[name]
    failure = bench.compile(Subject(name, function, Request({"name": name}))).failure
    assert failure is not None
    assert failure.kind == kind, failure
    assert hint in failure.hint
    assert words in failure.line
    line = marked_line(name)
    if line is not None:
        assert failure.source == f"{FILE}:{line}"


def test_there_are_enough_of_them():
    assert len(CASES) >= 25
    assert {kind for kind, _, _ in CASES.values()} >= set(KINDS) - {"crash", "timeout"}
