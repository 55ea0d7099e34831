"""The backward pass from a state every few tiles: what lies between is computed again, and never leaves VMEM.

One kernel does both sweeps, a segment at a time and the last segment first: forward over its tiles to fill what the
sweep back wants to know, then back over the same tiles. The sweeps are those of the judged backward kernel.
"""

import functools
from types import ModuleType

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


def backward(
    module: ModuleType, q, k, v, g, beta, do, starts, *, every: int, scale: float
) -> tuple[jax.Array, ...]:
    """dq, dk, dv, dg, dbeta as the `backward` of `module` (`gdn_bwd/variants/pallas_bwd.py`) returns them.

    starts: the states before each `every`-th tile, as the forward kernel saves them for blocks as large.
    """
    (B, T, keys, K), (H, V) = q.shape, v.shape[2:]
    config, tile = module.Config(), module.TILE
    padded_H, heads = starts.shape[2], _heads(H, keys, config.heads_per_block)
    key_heads, segments = heads * keys // H, starts.shape[1]
    inputs = [module.pad(x, segments * every * tile, padded_H * x.shape[2] // H) for x in (q, k, v, g, beta, do)]
    inputs[3:5] = [x.transpose(0, 2, 1) for x in inputs[3:5]]

    def tile_back(step):
        """In the sweep forward, the tile that the sweep back begins with: nothing is fetched or written for it."""
        return _tile(jnp.maximum(step % (2 * every), every) + step // (2 * every) * 2 * every, segments, every)

    kept = {"inverse": (tile, tile), "corner": (tile // 2, tile), "start": (K, V), "update": (2 * tile, V)}
    see = module.blocks_of(lambda step: _tile(step, segments, every), heads, key_heads, K, V, {})
    back = module.blocks_of(tile_back, heads, key_heads, K, V, {})
    start = pl.BlockSpec((1, 1, heads, K, V), lambda b, h, s: (b, segments - 1 - s // (2 * every), h, 0, 0))
    state, gate = pltpu.VMEM((heads, K, V), jnp.float32), jax.ShapeDtypeStruct(inputs[3].shape, jnp.float32)
    base = module.BASE
    dq, dk, dv, *d_gates = pl.pallas_call(
        functools.partial(_kernel, module=module, every=every, scale=scale),
        grid=(B, padded_H // heads, segments * 2 * every),
        in_specs=[back["keys"], see["keys"], see["values"], see["gates"], see["gates"], back["values"], start],
        out_specs=[back[name] for name in ("keys", "keys", "values", "gates", "gates")],
        out_shape=[*(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs[:3]), gate, gate],
        scratch_shapes=[
            state,
            *(pltpu.VMEM((tile * n // 2, width), jnp.int32) for n, width in ((key_heads, K),) * 2 + ((heads, V),)),
            pltpu.VMEM((heads, V), jnp.float32),
            state,
            pltpu.VMEM((heads * base, tile), jnp.float32),
            pltpu.VMEM((heads, 6 * base, tile), jnp.bfloat16),
            *(pltpu.VMEM((every, 1, 1, heads, *size), jnp.bfloat16) for size in kept.values()),
        ],
        compiler_params=module.compiler_params(heads * every // 2),
        name="gdn_bwd_resweep",
    )(*inputs, starts)
    dg, dbeta = (x.transpose(0, 2, 1)[:, :T, :H] for x in d_gates)
    return dq[:, :T, :keys], dk[:, :T, :keys], dv[:, :T, :H], dg, dbeta


def _heads(H: int, keys: int, most: int) -> int:
    """Heads of a block, as both judged kernels cut them."""
    group = H // keys
    return group * min(keys + keys % 2, max(8, most // group // 8 * 8))


def _tile(step, segments: int, every: int):
    """The tile of a step: up the tiles of the last segment and down again, then the segment before it."""
    within = step % (2 * every)
    return (segments - 1 - step // (2 * every)) * every + jnp.minimum(within, 2 * every - 1 - within)


def _kernel(*refs, module: ModuleType, every: int, scale: float):
    inputs, start_ref, gradients, (d_state_ref, *words, ends_ref) = refs[:6], refs[6], refs[7:12], refs[12:17]
    state_ref, *solver = refs[17:20]
    kept = refs[20:]
    step = pl.program_id(2)
    within = step % (2 * every)

    @pl.when(step == 0)
    def _():
        d_state_ref[...], ends_ref[...] = jnp.zeros_like(d_state_ref), jnp.zeros_like(ends_ref)

    @pl.when(within == 0)
    def _():
        state_ref[...] = start_ref[0, 0].astype(jnp.float32)

    @pl.when(within < every)
    def _():
        here = [ref.at[within] for ref in kept]
        module.sweep_forward(
            *inputs[1:5], *here, state_ref, *solver, config=module.Config(), solved=False, begins=False
        )

    @pl.when(within >= every)
    def _():
        here = [ref.at[2 * every - 1 - within] for ref in kept]
        module.sweep_back(
            *inputs,
            *here,
            *gradients,
            d_state_ref,
            *words,
            ends_ref,
            config=module.Config(),
            scale=scale,
            begins=False,
        )
