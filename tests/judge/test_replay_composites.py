"""Operations that jax serialises as a name with a decomposition: the name counts, the decomposition is not believed."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from jax._src.export._export import _module_to_bytecode
from jax._src.interpreters.mlir import make_ir_context
from jaxlib.mlir import ir

from cairn.judge.protocol import JudgeLimits
from cairn.judge.replay import Replayer, Unreplayable
from judge.lowered import BF16, lower, normal, relative_error, replayed

X, ROWS, MATRICES = normal(16, 128), normal(16, 256), normal(3, 256, 128, seed=1)
SIZES = np.array([5, 0, 7], np.int32)  # four rows belong to nobody


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        yield one


def ragged_dot(rows, matrices, sizes):
    return lax.ragged_dot(rows, matrices, sizes, preferred_element_type=jnp.float32)


def groups_times_matrices(rows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    wide, products = rows.astype(np.float64), np.zeros((16, 128))
    for first, last, matrix in ((0, 5, matrices[0]), (5, 12, matrices[2])):
        products[first:last] = wide[first:last] @ matrix.astype(np.float64)
    return products


def with_text(program: bytes, old: str, new: str) -> bytes:
    """The program with other text in it."""
    exported = export.deserialize(bytearray(program))
    text = exported.mlir_module()
    assert old in text
    with make_ir_context():
        module = ir.Module.parse(text.replace(old, new))
        return bytes(dataclasses.replace(exported, mlir_module_serialized=_module_to_bytecode(module)).serialize())


@pytest.mark.parametrize("function", [lax.erf, jnp.sinh, jnp.arccosh, lambda x: lax.top_k(x, 4)[0]])
def test_what_xla_knows_by_name(function, replayer: Replayer) -> None:
    x = np.abs(X) + 1
    (got,) = replayed(replayer, lower(function, x), x)
    assert relative_error(got, np.asarray(function(x))) < 1e-6


def test_a_decomposition_that_lies_is_not_believed(replayer: Replayer) -> None:
    """It says that erf is 0 x; what is compiled for a chip would be erf."""
    program, start = lower(lambda x: lax.erf(x), X), "func.func private @chlo.erf.impl("
    cheap = f"""{start}%x: tensor<16x128xf32>) -> tensor<16x128xf32> {{
        %none = stablehlo.subtract %x, %x : tensor<16x128xf32>
        return %none : tensor<16x128xf32>
    }}
    func.func private @unused("""
    (got,) = replayed(replayer, with_text(program, start, cheap), X)
    assert relative_error(got, np.asarray(lax.erf(X))) < 1e-6


@pytest.mark.parametrize(
    ("old", "new"), [("version = 1", "version = 2"), ('composite "chlo.erf"', 'composite "my.erf"')]
)
def test_what_a_compiler_might_take_otherwise_is_refused(old: str, new: str, replayer: Replayer) -> None:
    forged = with_text(lower(lambda x: lax.erf(x), X), old, new)
    with pytest.raises(Unreplayable, match="composite"):
        replayed(replayer, forged, X)


@pytest.mark.parametrize(
    ("dtype", "precision", "least", "most"),
    [(BF16, None, 0, 1e-6), (np.float32, None, 1e-4, 1e-2), (np.float32, lax.Precision.HIGHEST, 0, 1e-6)],
)
def test_a_grouped_product(dtype, precision, least: float, most: float, replayer: Replayer) -> None:
    """float32 operands are rounded as by the matrix unit, unless the program asks for more."""
    rows, matrices = ROWS.astype(dtype), MATRICES.astype(dtype)

    def function(a, b, c):
        return lax.ragged_dot(a, b, c, precision=precision, preferred_element_type=jnp.float32)

    program = lower(function, rows, matrices, SIZES)
    (got,) = replayed(replayer, program, rows, matrices, SIZES)
    assert least <= relative_error(got, groups_times_matrices(rows, matrices)) <= most
    name, level = ("bf16", "DEFAULT") if dtype == BF16 else ("f32", "HIGHEST" if precision else "DEFAULT")
    assert replayer.inspect(program).dots[f"{name} x {name} {level}"] >= 1


def test_a_grouped_product_of_another_form_is_refused(replayer: Replayer) -> None:
    numbers = lax.RaggedDotDimensionNumbers((((1,), (0,)), ((), ())), [1], [])
    program = lower(lambda a, b, c: lax.ragged_dot_general(a, b, c, numbers), ROWS, MATRICES[0], SIZES)
    with pytest.raises(Unreplayable, match="other dimensions"):
        replayed(replayer, program, ROWS, MATRICES[0], SIZES)


def test_tables_of_complex_numbers_are_read(replayer: Replayer) -> None:
    table = (normal(16, 128, seed=2) + 1j * X).astype(np.complex64)
    program = lower(lambda x: jnp.real(jnp.fft.ifft(jnp.fft.fft(x) * table)) + jnp.real(1j * x), X)
    facts = replayer.inspect(program)
    assert (facts.constant_bytes, len(facts.constants)) == (table.nbytes, 1)
    real, imaginary = replayer.constants(program, "tpu", {table.size})
    np.testing.assert_array_equal(real, table.real.ravel())
    np.testing.assert_array_equal(imaginary, table.imag.ravel())
    (got,) = replayed(replayer, program, X)
    assert relative_error(got, np.fft.ifft(np.fft.fft(X) * table).real) < 1e-5
