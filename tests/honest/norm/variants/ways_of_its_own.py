"""Strange to look at and honest: prints, warns, asks for its chip, caches, keeps a table, has a rule for gradients."""

import dataclasses
import functools
import threading
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

print("verdict: none of my business")
warnings.warn("a block of one row is slow", stacklevel=1)
LOCK = threading.Lock()
PLACES = np.arange(4096, dtype=np.int32)


@dataclasses.dataclass(frozen=True)
class Config:
    block: int = 8
    epsilon: float = 1e-12
    names: tuple[str, ...] = ("x", "weight")


class Scaled(NamedTuple):
    rows: jax.Array
    scale: jax.Array


@functools.lru_cache
def lanes(columns: int) -> int:
    return min(columns, pltpu.get_tpu_info().num_lanes)


def kernel(x, weight, places, y, wide, *, epsilon, lanes):
    wide[...] = x[...].astype(jnp.float32)
    total = functools.reduce(
        jnp.add,
        (
            jnp.sum(jnp.square(wide[:, at : at + lanes]), axis=1, keepdims=True)
            for at in range(0, x.shape[1], lanes)
        ),
    )
    found = Scaled(wide[...], jax.lax.rsqrt(total / x.shape[1] + epsilon))
    inside = places[...] < x.shape[1]
    y[...] = jnp.where(inside, found.rows * found.scale * weight[...].astype(jnp.float32), 0.0).astype(y.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def norm(x, weight, config):
    columns = x.shape[1]
    rows = pl.BlockSpec((config.block, columns), lambda i: (i, 0))
    whole = pl.BlockSpec((1, columns), lambda i: (0, 0))
    return pl.pallas_call(
        functools.partial(kernel, epsilon=config.epsilon, lanes=lanes(columns)),
        grid=(x.shape[0] // config.block,),
        in_specs=[rows, whole, whole],
        out_specs=rows,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_shapes=[pltpu.VMEM((config.block, columns), jnp.float32)],
    )(x, weight[None], jnp.asarray(PLACES[None, :columns]))


norm.defvjp(lambda x, weight, config: (norm(x, weight, config), (x, weight)), lambda config, kept, y: kept)


@functools.partial(jax.jit, static_argnames="config")
def run(x, weight, *, config):
    with LOCK:
        assert jax.devices()[0].platform == "tpu", "asked for on a chip only"
        return (norm(x, weight, config),)
