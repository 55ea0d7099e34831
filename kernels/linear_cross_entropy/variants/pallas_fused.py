"""Linear layer and cross-entropy in one pass over the vocabulary; a tile of logits lives for one step of the grid.

Logits are made transposed, vocabulary down and tokens across: the maximum and the sum over the vocabulary then run
from register to register, eight separate running sums for every token, one in each sublane, which meet only at the
end. The label's logit is picked out of its tile by comparison. Logits are kept in nats; the exponential's change of
base is one multiplication either way.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

LANES, SUBLANES = 128, 8
NONE_YET = -1e30


@dataclasses.dataclass(frozen=True)
class Config:
    """block_t: tokens of a step; more read w less often. block_v: entries of the vocabulary of a step."""

    block_t: int = 1024
    block_v: int = 512


def run(x, w, labels, *, config: Config) -> tuple[jax.Array]:
    """Return loss [T], float32; T, D and V must be multiples of 128."""
    (T, D), V = x.shape, w.shape[0]
    if T % LANES or D % LANES or V % LANES:
        raise ValueError(f"T={T}, D={D} and V={V} must be multiples of the 128 lanes")
    block_t, block_v = math.gcd(config.block_t, T), math.gcd(config.block_v, V)
    per_token = pl.BlockSpec((1, block_t), lambda t, v: (0, t))
    loss = pl.pallas_call(
        _kernel,
        grid=(T // block_t, V // block_v),
        in_specs=[
            pl.BlockSpec((block_t, D), lambda t, v: (t, 0)),
            pl.BlockSpec((block_v, D), lambda t, v: (v, 0)),
            per_token,
        ],
        out_specs=per_token,
        out_shape=jax.ShapeDtypeStruct((1, T), jnp.float32),
        scratch_shapes=[pltpu.VMEM((SUBLANES, block_t), jnp.float32)] * 3,
        compiler_params=pltpu.CompilerParams(
            dimension_semantics=("parallel", "arbitrary"), vmem_limit_bytes=60 * 2**20
        ),
        name="linear_cross_entropy",
    )(x, w, labels[None])
    return (loss[0],)


def _kernel(x_ref, w_ref, labels_ref, loss_ref, top_ref, total_ref, mine_ref):
    v = pl.program_id(1)
    block_v = w_ref.shape[0]

    @pl.when(v == 0)
    def _():
        top_ref[...] = jnp.full_like(top_ref, NONE_YET)
        total_ref[...] = jnp.zeros_like(total_ref)
        mine_ref[...] = jnp.zeros_like(mine_ref)

    logits = jax.lax.dot_general(
        w_ref[...], x_ref[...], (((1,), (1,)), ((), ())), preferred_element_type=jnp.float32
    )
    old = top_ref[...]
    top = jnp.maximum(old, _fold(logits, jnp.maximum))
    weights = jnp.exp(logits - jnp.concatenate([top] * (block_v // SUBLANES), axis=0))
    total_ref[...] = jnp.exp(old - top) * total_ref[...] + _fold(weights, jnp.add)
    top_ref[...] = top
    entry = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 0)
    mine_ref[...] += _fold(jnp.where(entry == labels_ref[...] - v * block_v, logits, 0.0), jnp.add)

    @pl.when(v == pl.num_programs(1) - 1)
    def _():
        tops = top_ref[...]
        highest = tops.max(axis=0, keepdims=True)
        total = (jnp.exp(tops - highest) * total_ref[...]).sum(axis=0, keepdims=True)
        loss_ref[...] = highest + jnp.log(total) - mine_ref[...].sum(axis=0, keepdims=True)


def _fold(x: jax.Array, combine) -> jax.Array:
    """Combine the rows of x down to 8, without a reduction across sublanes."""
    return functools.reduce(combine, [x[at : at + SUBLANES] for at in range(0, x.shape[0], SUBLANES)])
