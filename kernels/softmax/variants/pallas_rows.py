"""Softmax over blocks of whole rows: a row is read once, its exponentials are made twice rather than stored.

While a block of rows lies in VMEM three sweeps over it cost no memory traffic: the maximum, the sum of exponentials,
and the quotient. Each sweep goes in pieces of `lanes`, so that what is in flight fits in registers.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    """rows: rows in one grid step. lanes: columns of one piece of a sweep. unroll: pieces written side by side."""

    rows: int = 16
    lanes: int = 1024
    unroll: int = 1


def run(logits, *, config: Config) -> tuple[jax.Array]:
    """Return the probabilities [R,C] in bfloat16; R must be a multiple of 8 and C of 128."""
    R, C = logits.shape
    if R % 8 or C % 128:
        raise ValueError(f"R={R} must be a multiple of the 8 sublanes, C={C} of the 128 lanes")
    rows, lanes = math.gcd(config.rows, R), math.gcd(config.lanes, C)
    block = pl.BlockSpec((rows, C), lambda r: (r, 0))

    def kernel(logits_ref, out_ref):
        _softmax(logits_ref, out_ref, lanes, config.unroll)

    out = pl.pallas_call(
        kernel,
        grid=(R // rows,),
        in_specs=[block],
        out_specs=block,
        out_shape=jax.ShapeDtypeStruct((R, C), jnp.bfloat16),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
        name="softmax_rows",
    )(logits)
    return (out,)


def _softmax(logits_ref, out_ref, lanes: int, unroll: int) -> None:
    rows, C = logits_ref.shape

    def sweep(visit, carry):
        return jax.lax.fori_loop(
            0, C // lanes, lambda i, value: visit(pl.ds(i * lanes, lanes), value), carry, unroll=unroll
        )

    # Kept 128 lanes wide until the sweep is over: one reduction across lanes instead of one a piece.
    def fold(piece, combine):
        return functools.reduce(combine, [piece[:, i : i + 128] for i in range(0, lanes, 128)])

    def larger(at, top):
        return jnp.maximum(top, fold(logits_ref[:, at], jnp.maximum))

    top = sweep(larger, jnp.full((rows, 128), -jnp.inf, jnp.float32)).max(axis=1, keepdims=True)

    def add(at, total):
        return total + fold(jnp.exp(logits_ref[:, at] - top), jnp.add)

    total = sweep(add, jnp.zeros((rows, 128), jnp.float32)).sum(axis=1, keepdims=True)
    inverse = 1.0 / total

    def write(at, carry):
        out_ref[:, at] = (jnp.exp(logits_ref[:, at] - top) * inverse).astype(out_ref.dtype)
        return carry

    sweep(write, 0)
