"""A kernel call in a loop is never taken for one outside of it, whose operands are constants."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from cairn.worker.known_operands import known_operands
from judge.lowered import lower

X = np.zeros((16, 128), np.float32)
TABLE = np.arange(3, 11, dtype=np.int32).reshape(4, 2)


def call(turns, x):
    """A kernel that runs as often as its first operand says."""

    def kernel(turns_ref, x_ref, out_ref):
        out_ref[...] = jax.lax.fori_loop(0, turns_ref[0], lambda _, total: total + x_ref[...], x_ref[...])

    block = pl.BlockSpec((16, 128), lambda step, turns: (0, 0))
    steered = pltpu.PrefetchScalarGridSpec(num_scalar_prefetch=1, grid=(1,), in_specs=[block], out_specs=block)
    return pl.pallas_call(kernel, grid_spec=steered, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))(turns, x)


def known(function):
    return known_operands(export.deserialize(bytearray(lower(function, X))).mlir_module())


def in_a_loop(x):
    first = call(jnp.array([1, 2], jnp.int32), x)
    return jax.lax.fori_loop(0, 4, lambda i, z: call(jnp.asarray(TABLE)[i], z), first)


def in_a_function_in_a_loop(x):
    again = jax.jit(lambda i, z: call(jnp.asarray(TABLE)[i], z))
    return jax.lax.fori_loop(0, 4, lambda i, z: again(i, z), call(jnp.array([1, 2], jnp.int32), x))


def test_calls_in_loops_are_listed_and_nothing_is_known_of_them():
    for function in (in_a_loop, in_a_function_in_a_loop):
        outside, inside = known(function)
        assert outside["values"] == {"0": [1, 2]}
        assert inside == {"operands": outside["operands"], "values": {}}
