"""Every family of operations that the replay knows, in small kernels against NumPy."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from cairn.judge.protocol import JudgeLimits
from cairn.judge.replay import Replayer
from judge.lowered import BF16, block_call, lower, normal, relative_error, replayed

CHIP = "TPU v5p"
F32, I32 = np.float32, np.int32
X, Y = normal(16, 128), normal(16, 128, seed=1)
POSITIVE = np.abs(X) + np.float32(0.1)
WHOLE = np.random.default_rng(2).integers(-(2**31), 2**31, (16, 128)).astype(I32)
OTHER = np.random.default_rng(3).integers(-1000, 1000, (16, 128)).astype(I32) | 1
SHIFT = np.random.default_rng(4).integers(0, 32, (16, 128)).astype(I32)
A, B = normal(128, 256, dtype=BF16), normal(256, 128, dtype=BF16, seed=1)


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        yield one


@dataclass(frozen=True)
class Case:
    """A function of values inside a kernel, and the same in NumPy; `tolerance` 0 asks for equal bits."""

    name: str
    inside: Callable
    outside: Callable
    inputs: tuple[np.ndarray, ...]
    tolerance: float = 0.0


def elementwise(name: str, inside: Callable, outside: Callable | None = None, *inputs: np.ndarray) -> Case:
    return Case(name, inside, outside or getattr(np, name), inputs or (X,), 2e-6)


def exact(name: str, inside: Callable, outside: Callable, *inputs: np.ndarray) -> Case:
    return Case(name, inside, outside, inputs, 0.0)


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float64)


def rounded(x: np.ndarray) -> np.ndarray:
    return x.astype(BF16).astype(np.float64)


def u32(x: np.ndarray) -> np.ndarray:
    return x.view(np.uint32)


def inside_u32(call: Callable) -> Callable:
    def on_unsigned(*values):
        made = call(*[lax.bitcast_convert_type(value, jnp.uint32) for value in values])
        return lax.bitcast_convert_type(made, jnp.int32) if made.dtype == jnp.uint32 else made.astype(jnp.int32)

    return on_unsigned


TABLE = [
    elementwise("exp", jnp.exp),
    elementwise("exp2", jnp.exp2),
    elementwise("log", jnp.log, np.log, POSITIVE),
    elementwise("log1p", jnp.log1p, np.log1p, POSITIVE),
    elementwise("tanh", jnp.tanh),
    elementwise("sqrt", jnp.sqrt, np.sqrt, POSITIVE),
    elementwise("rsqrt", lax.rsqrt, lambda x: wide(x) ** -0.5, POSITIVE),
    elementwise("sin", jnp.sin),
    elementwise("cos", jnp.cos),
    elementwise("floor", jnp.floor),
    elementwise("ceil", jnp.ceil),
    elementwise("round half to even", jnp.round, np.rint, X * 4),
    elementwise("abs", jnp.abs),
    elementwise("logistic", jax.nn.sigmoid, lambda x: 1 / (1 + np.exp(-wide(x)))),
    elementwise("divide", lambda x, y: x / y, None, X, POSITIVE),
    elementwise("remainder", lax.rem, np.fmod, X, POSITIVE),
    elementwise("power", lambda x, y: x**y, np.power, POSITIVE, X),
    elementwise("maximum", jnp.maximum, np.maximum, X, Y),
    elementwise("minimum", jnp.minimum, np.minimum, X, Y),
    elementwise("sign", jnp.sign),
    elementwise("reciprocal", lambda x: pl.reciprocal(x), lambda x: 1 / wide(x), POSITIVE),
    Case(
        "approximate reciprocal", lambda x: pl.reciprocal(x, approx=True), lambda x: 1 / wide(x), (POSITIVE,), 1e-2
    ),
    exact("where", lambda x, y: jnp.where(x > y, x, y), np.maximum, X, Y),
    exact(
        "isnan", lambda x: jnp.isnan(x / jnp.abs(jnp.trunc(x))).astype(jnp.int32), lambda x: x != x, X[:8] * 0 + 1
    ),
    exact("bf16 sum is rounded", jnp.add, np.add, X.astype(BF16), Y.astype(BF16)),
    exact("bf16 product is rounded", jnp.multiply, np.multiply, X.astype(BF16), Y.astype(BF16)),
    exact("to bf16, ties to even", lambda x: x.astype(BF16), lambda x: x.astype(BF16), X),
    exact("from bf16", lambda x: x.astype(F32), lambda x: x.astype(F32), X.astype(BF16)),
    exact("to integer", lambda x: (x * 10).astype(I32), lambda x: (x * F32(10)).astype(I32), X),
    exact("from integer", lambda x: x.astype(F32), lambda x: x.astype(F32), WHOLE),
    exact("wraps around in a sum", jnp.add, np.add, WHOLE, WHOLE),
    exact("wraps around in a product", jnp.multiply, np.multiply, WHOLE, OTHER),
    exact("division towards zero", lax.div, lambda a, b: (a / b.astype(np.float64)).astype(I32), WHOLE, OTHER),
    exact("remainder of integers", lax.rem, np.fmod, WHOLE, OTHER),
    exact("shift left", lax.shift_left, np.left_shift, WHOLE, SHIFT),
    exact("shift right, with sign", lax.shift_right_arithmetic, np.right_shift, WHOLE, SHIFT),
    exact(
        "shift right, no sign", lax.shift_right_logical, lambda a, b: (u32(a) >> u32(b)).view(I32), WHOLE, SHIFT
    ),
    exact("bitwise", lambda a, b: (a & b) ^ (a | ~b), lambda a, b: (a & b) ^ (a | ~b), WHOLE, OTHER),
    exact("unsigned less", inside_u32(lax.lt), lambda a, b: (u32(a) < u32(b)).astype(I32), WHOLE, OTHER),
    exact(
        "unsigned maximum", inside_u32(lax.max), lambda a, b: np.maximum(u32(a), u32(b)).view(I32), WHOLE, OTHER
    ),
    exact("bits counted", lax.population_count, lambda a: np.bitwise_count(u32(a)).astype(I32), WHOLE),
    exact("leading zeros", lax.clz, lambda a: (32 - np.frexp(wide(u32(a)))[1]).astype(I32), WHOLE),
    exact("same bits", lambda x: lax.bitcast_convert_type(x, jnp.int32), lambda x: x.view(I32), X),
    exact(
        "iota",
        lambda x: x + lax.broadcasted_iota(I32, (16, 128), 0) * 1000 + lax.broadcasted_iota(I32, (16, 128), 1),
        lambda x: x + np.arange(16, dtype=I32)[:, None] * 1000 + np.arange(128, dtype=I32),
        OTHER,
    ),
    exact("broadcast a row", lambda x: x + x[3:4], lambda x: x + x[3:4], X),
    exact("broadcast a column", lambda x: x + x[:, 5:6], lambda x: x + x[:, 5:6], X),
    exact("transpose", lambda x: x.T, lambda x: x.T.copy(), normal(128, 128)),
    exact("reshape", lambda x: x.reshape(2, 8, 128), lambda x: x.reshape(2, 8, 128), X),
    exact("concatenate rows", lambda x, y: jnp.concatenate([x, y]), lambda x, y: np.concatenate([x, y]), X, Y),
    exact(
        "concatenate lanes", lambda x, y: jnp.concatenate([x, y], 1), lambda x, y: np.concatenate([x, y], 1), X, Y
    ),
    exact("slice", lambda x: x[3:11, :], lambda x: x[3:11, :], X),
    exact("roll", lambda x: pltpu.roll(x, 3, 0), lambda x: np.roll(x, 3, 0), X),
    exact("roll lanes", lambda x: pltpu.roll(x, 5, 1), lambda x: np.roll(x, 5, 1), X),
    exact(
        "roll with a stride",
        lambda x: pltpu.roll(x, 2, 1, stride=1, stride_axis=0),
        lambda x: np.stack([np.roll(row, 2 + index) for index, row in enumerate(x)]),
        X,
    ),
    Case(
        "sum of rows", lambda x: jnp.sum(x, 0, keepdims=True), lambda x: wide(x).sum(0, keepdims=True), (X,), 2e-6
    ),
    Case(
        "sum of lanes", lambda x: jnp.sum(x, 1, keepdims=True), lambda x: wide(x).sum(1, keepdims=True), (X,), 2e-6
    ),
    exact("maximum of lanes", lambda x: jnp.max(x, 1, keepdims=True), lambda x: x.max(1, keepdims=True), X),
    exact("minimum of rows", lambda x: jnp.min(x, 0, keepdims=True), lambda x: x.min(0, keepdims=True), X),
    exact(
        "where the maximum is",
        lambda x: jnp.broadcast_to(jnp.argmax(x, 1, keepdims=True), (16, 128)).astype(I32),
        lambda x: np.broadcast_to(x.argmax(1, keepdims=True), (16, 128)).astype(I32),
        X,
    ),
    Case(
        "A B", lambda a, b: jnp.dot(a, b, preferred_element_type=F32), lambda a, b: wide(a) @ wide(b), (A, B), 1e-6
    ),
    Case(
        "A B^T",
        lambda a, b: lax.dot_general(a, b, (((1,), (1,)), ((), ())), preferred_element_type=F32),
        lambda a, b: wide(a) @ wide(b).T,
        (A, A[::2]),
        1e-6,
    ),
    Case(
        "A^T B",
        lambda a, b: lax.dot_general(a, b, (((0,), (0,)), ((), ())), preferred_element_type=F32),
        lambda a, b: wide(a).T @ wide(b),
        (A, A),
        1e-6,
    ),
    Case(
        "batched",
        lambda a, b: jnp.einsum("bij,bjk->bik", a, b, preferred_element_type=F32),
        lambda a, b: wide(a) @ wide(b),
        (normal(3, 16, 128, dtype=BF16), normal(3, 128, 128, dtype=BF16)),
        1e-6,
    ),
    Case(
        "float32 at default precision is one bfloat16 pass",
        lambda a, b: jnp.dot(a, b, preferred_element_type=F32),
        lambda a, b: rounded(a) @ rounded(b),
        (normal(16, 256), normal(256, 128)),
        1e-6,
    ),
    Case(
        "float32 at highest precision",
        lambda a, b: jnp.dot(a, b, precision=lax.Precision.HIGHEST, preferred_element_type=F32),
        lambda a, b: wide(a) @ wide(b),
        (normal(16, 256), normal(256, 128)),
        1e-6,
    ),
    Case(
        "float8",
        lambda a, b: jnp.dot(a, b, preferred_element_type=F32),
        lambda a, b: wide(a) @ wide(b),
        (normal(32, 128).astype(jnp.float8_e4m3fn), normal(128, 128).astype(jnp.float8_e4m3fn)),
        1e-6,
    ),
    exact(
        "int8",
        lambda a, b: jnp.dot(a, b, preferred_element_type=I32),
        lambda a, b: a.astype(I32) @ b.astype(I32),
        (WHOLE[:, :] % 100).astype(np.int8).repeat(2, 0),
        (WHOLE % 90).astype(np.int8).repeat(8, 0),
    ),
    exact(
        "finite or not",
        lambda x: jnp.isfinite(jnp.log(x)).astype(I32),
        lambda x: (x > 0).astype(I32),
        np.maximum(X, 0),
    ),
    exact(
        "packed pairs",
        lambda x, y: pltpu.pack_elementwise([x, y], packed_dtype=BF16).view(I32),
        lambda x, y: (
            x.astype(BF16).view(np.uint16).astype(I32) | (y.astype(BF16).view(np.uint16).astype(I32) << 16)
        ),
        X,
        Y,
    ),
    exact(
        "unpacked bytes",
        lambda x: pltpu.unpack_elementwise(x, index=2, packed_dtype=np.int8, unpacked_dtype=I32),
        lambda x: (x >> 16).astype(np.int8).astype(I32),
        WHOLE,
    ),
    exact(
        "halves of words",
        lambda x: pltpu.bitcast(x, jnp.int16),
        lambda x: np.stack([x.astype(np.int16), (x >> 16).astype(np.int16)], 1).reshape(32, 128),
        WHOLE,
    ),
    exact(
        "words of halves",
        lambda x: pltpu.bitcast(x, jnp.int32),
        lambda x: x[0::2].astype(np.uint16).astype(I32) | (x[1::2].astype(I32) << 16),
        OTHER.astype(np.int16),
    ),
    exact(
        "gather along lanes",
        lambda x, i: jnp.take_along_axis(x, i, axis=1),
        lambda x, i: np.take_along_axis(x, i, 1),
        X[:8],
        (np.abs(OTHER[:8]) % 128),
    ),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_operation(case: Case, replayer: Replayer) -> None:
    want = np.asarray(case.outside(*case.inputs))

    def kernel(*refs):
        *sources, target = refs
        target[...] = case.inside(*[source[...] for source in sources]).astype(target.dtype)

    dtype = I32 if want.dtype.kind in "bi" and want.dtype.itemsize != 2 else want.dtype
    dtype = F32 if dtype == np.float64 else dtype
    program = lower(block_call(kernel, (want.shape, dtype)), *case.inputs, chip=CHIP)
    (got,) = replayed(replayer, program, *case.inputs)
    if case.tolerance:
        assert relative_error(got, want) <= case.tolerance
    else:
        np.testing.assert_array_equal(got, want.astype(dtype))


def test_products_that_xla_does_not_know_on_a_processor_are_replayed(replayer: Replayer) -> None:
    a, b = (normal(256, 512).astype(BF16), normal(512, 128).astype(BF16))

    def largest_parts(a, b):
        kept = jax.lax.top_k((a.astype(F32) ** 2).sum(0), 480)[1]
        return jnp.dot(a[:, kept], b[kept], preferred_element_type=F32)

    (product,) = replayed(replayer, lower(largest_parts, a, b), a, b)
    kept = np.argsort(-(a.astype(F32) ** 2).sum(0))[:480]
    np.testing.assert_allclose(product, a[:, kept].astype(F32) @ b[kept].astype(F32), rtol=1e-4, atol=1e-4)


def test_smallest_floats_are_zero_to_arithmetic_also_where_all_is_constant_and_their_bits_are_kept(
    replayer: Replayer,
) -> None:
    def kernel(x, out):
        least = jnp.full(x.shape, 1e-40, F32)
        bits = lax.broadcasted_iota(jnp.int32, x.shape, 1)
        moved = lax.bitcast_convert_type(lax.bitcast_convert_type(bits, jnp.float32), jnp.int32)
        out[...] = jnp.where((least > 0) | (least * 1e10 != 0), 1000, moved) + x[...].astype(jnp.int32) * 0

    program = lower(block_call(kernel, (X.shape, I32)), X, chip=CHIP)
    np.testing.assert_array_equal(replayed(replayer, program, X)[0], np.tile(np.arange(128), (16, 1)))


def test_nobody_can_count_on_a_division_by_zero_and_who_looks_away_is_not_harmed(replayer: Replayer) -> None:
    def kernel(x, kept, seen):
        divisor = x[...] % 2
        divided = lax.div(x[...], divisor)
        kept[...] = jnp.where(divisor == 0, 7, divided)
        seen[...] = divided

    program = lower(block_call(kernel, (OTHER.shape, I32), (OTHER.shape, I32)), OTHER, chip=CHIP)
    numbers = np.arange(OTHER.size, dtype=I32).reshape(OTHER.shape)
    runs = [replayed(replayer, program, numbers) for _ in range(3)]
    for kept, _ in runs:
        np.testing.assert_array_equal(kept, np.where(numbers % 2, numbers, 7))
    assert len({seen[0, 0] for _, seen in runs}) > 1
