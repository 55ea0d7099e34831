"""Toy programs for the lab's tests, and the way to export one: `python toy_kernels.py NAME OUT [key=value ...]`.

It runs as a program of its own, so that the tests themselves never import jax. Without arguments it takes them from
its input, as a list in JSON on each line, and answers each line with one: the error as a string in JSON, or null.
"""

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct, export
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

Program = tuple[Callable[..., Any], tuple[ShapeDtypeStruct, ...]]
F32 = jnp.float32


def add(steps: int = 6, rows: int = 8, parallel: int = 0) -> Program:
    """One block of (rows, 128) a step: in, plus one, out; the steps may be divided among cores."""

    def kernel(x, out):
        out[...] = x[...] + 1.0

    spec = pl.BlockSpec((rows, 128), lambda i: (i, 0))
    array = ShapeDtypeStruct((steps * rows, 128), F32)
    semantics = pltpu.CompilerParams(dimension_semantics=("parallel" if parallel else "arbitrary",))
    call = pl.pallas_call(
        kernel,
        grid=(steps,),
        in_specs=[spec],
        out_specs=spec,
        out_shape=array,
        compiler_params=semantics,
        name="add",
    )
    return call, (array,)


def rows(steps: int = 3, loops: int = 16) -> Program:
    """A loop of its own inside every step."""

    def kernel(x, out):
        def body(_, value):
            return value * x[...]

        out[...] = jax.lax.fori_loop(0, loops, body, x[...])

    spec = pl.BlockSpec((8, 128), lambda i: (i, 0))
    array = ShapeDtypeStruct((steps * 8, 128), F32)
    return pl.pallas_call(kernel, grid=(steps,), in_specs=[spec], out_specs=spec, out_shape=array, name="rows"), (
        array,
    )


def square(size: int = 128) -> Program:
    """One small product in the matrix units."""

    def kernel(x, out):
        out[...] = jnp.dot(x[...], x[...], preferred_element_type=F32)

    array = ShapeDtypeStruct((size, size), jnp.bfloat16)
    result = ShapeDtypeStruct((size, size), F32)
    return pl.pallas_call(kernel, out_shape=result, name="square"), (array,)


def ragged() -> Program:
    """A trip count that stands in an input: nothing in the program says what it is."""

    def kernel(count, x, out):
        out[...] = jax.lax.fori_loop(0, count[0], lambda _, value: value + x[...], jnp.zeros_like(x[...]))

    specs = [pl.BlockSpec(memory_space=pltpu.SMEM), pl.BlockSpec((8, 128), lambda: (0, 0))]
    array = ShapeDtypeStruct((8, 128), F32)
    call = pl.pallas_call(kernel, in_specs=specs, out_shape=array, name="ragged")
    return call, (ShapeDtypeStruct((1,), jnp.int32), array)


def matmul(size: int = 2048, block: int = 512, depth: int = 0) -> Program:
    """Tiled product with an accumulator; `depth` is the block along the sum (`block` if 0)."""
    depth = depth or block

    def kernel(x, y, out, total):
        @pl.when(pl.program_id(2) == 0)
        def _():
            total[...] = jnp.zeros_like(total)

        total[...] += jnp.dot(x[...], y[...], preferred_element_type=F32)

        @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
        def _():
            out[...] = total[...].astype(out.dtype)

    array = ShapeDtypeStruct((size, size), jnp.bfloat16)
    call = pl.pallas_call(
        kernel,
        grid=(size // block, size // block, size // depth),
        in_specs=[
            pl.BlockSpec((block, depth), lambda i, j, k: (i, k)),
            pl.BlockSpec((depth, block), lambda i, j, k: (k, j)),
        ],
        out_specs=pl.BlockSpec((block, block), lambda i, j, k: (i, j)),
        out_shape=array,
        scratch_shapes=[pltpu.VMEM((block, block), F32)],
        name="matmul",
    )
    return call, (array, array)


def chain(length: int = 16) -> Program:
    """Products of 128 x 128 each of which needs the one before."""

    def kernel(x, w, out):
        value = x[...]
        for _ in range(length):
            value = jnp.dot(value, w[...], preferred_element_type=F32).astype(jnp.bfloat16)
        out[...] = value

    array = ShapeDtypeStruct((128, 128), jnp.bfloat16)
    return pl.pallas_call(kernel, out_shape=array, name="chain"), (array, array)


def prefetched(visits: int = 4, known: int = 1) -> Program:
    """Blocks in an order, and inner loops of a length, that scalar prefetch brings: from constants or an argument."""

    def kernel(order, trips, x, out):
        def body(_, value):
            return value + x[...]

        out[...] = jax.lax.fori_loop(0, trips[pl.program_id(0)], body, jnp.zeros_like(x[...]))

    spec = pltpu.PrefetchScalarGridSpec(
        num_scalar_prefetch=2,
        grid=(visits,),
        in_specs=[pl.BlockSpec((8, 128), lambda i, order, trips: (order[i], 0))],
        out_specs=pl.BlockSpec((8, 128), lambda i, order, trips: (i, 0)),
    )
    array = ShapeDtypeStruct((8 * visits, 128), F32)
    call = pl.pallas_call(kernel, grid_spec=spec, out_shape=array, name="prefetched")
    order = jnp.zeros(visits, jnp.int32)  # the same block again and again: it is fetched once
    if known:
        return lambda x: call(order, jnp.cumsum(jnp.full(visits, 16, jnp.int32)), x), (array,)
    return lambda trips, x: call(order, trips, x), (ShapeDtypeStruct((visits,), jnp.int32), array)


def too_large() -> Program:
    """Blocks of 64 MiB and a scratch of 64 MiB: more vector memory than any chip offers by default."""

    def kernel(x, out, scratch):
        scratch[...] = x[...]
        out[...] = scratch[...]

    array = ShapeDtypeStruct((4096, 4096), F32)
    spec = pl.BlockSpec((4096, 4096), lambda: (0, 0))
    scratch = [pltpu.VMEM((4096, 4096), F32)]
    call = pl.pallas_call(kernel, in_specs=[spec], out_specs=spec, out_shape=array, scratch_shapes=scratch)
    return call, (array,)


def misaligned() -> Program:
    """A dynamic offset along lanes that nobody promised to be a multiple of 128."""

    def kernel(at, x, out):
        out[...] = x[:, pl.ds(at[0], 128)]

    specs = [pl.BlockSpec(memory_space=pltpu.SMEM), pl.BlockSpec((8, 512), lambda: (0, 0))]
    call = pl.pallas_call(kernel, in_specs=specs, out_shape=ShapeDtypeStruct((8, 128), F32))
    return call, (ShapeDtypeStruct((1,), jnp.int32), ShapeDtypeStruct((8, 512), F32))


def bad_block() -> Program:
    """A block whose last dimensions fit neither the tile nor the array; raises while it is lowered."""

    def kernel(x, out):
        out[...] = x[...]

    spec = pl.BlockSpec((100, 60), lambda i: (i, 0))
    array = ShapeDtypeStruct((400, 400), F32)
    return pl.pallas_call(kernel, grid=(4,), in_specs=[spec], out_specs=spec, out_shape=array), (array,)


def unsupported() -> Program:
    """Sorting has no lowering."""

    def kernel(x, out):
        out[...] = jnp.sort(x[...], axis=-1)

    array = ShapeDtypeStruct((128, 128), F32)
    return pl.pallas_call(kernel, out_shape=array), (array,)


def scan(trips: int = 12) -> Program:
    """Plain XLA: a recurrence over chunks."""

    def step(state, chunk):
        out = jnp.dot(chunk, state.astype(jnp.bfloat16), preferred_element_type=F32)
        return state * 0.5 + jnp.dot(chunk.T, chunk, preferred_element_type=F32), out

    def run(chunks):
        return jax.lax.scan(step, jnp.zeros((256, 256), F32), chunks)

    return run, (ShapeDtypeStruct((trips, 512, 256), jnp.bfloat16),)


def until() -> Program:
    """Plain XLA: a loop that ends when the data says so."""

    def run(x):
        return jax.lax.while_loop(lambda v: jnp.sum(v) < 1e6, lambda v: jnp.dot(v, v) + 1.0, x)

    return run, (ShapeDtypeStruct((256, 256), F32),)


def overflowing() -> Program:
    """Plain XLA: a shape of 2^62 elements; libtpu gives up with a failed check, and its process with it."""
    most = 2**31 - 1
    return lambda x: jnp.broadcast_to(x[:, None], (most, most)).sum(0), (ShapeDtypeStruct((most,), F32),)


def endless_grid() -> Program:
    """2^93 steps; libtpu runs into an illegal instruction."""

    def kernel(x, out):
        out[...] = x[...]

    spec = pl.BlockSpec((8, 128), lambda i, j, k: (0, 0))
    array = ShapeDtypeStruct((8, 128), F32)
    grid = (2**31 - 1,) * 3
    return pl.pallas_call(kernel, grid=grid, in_specs=[spec], out_specs=spec, out_shape=array), (array,)


def unrolled(times: int = 6000) -> Program:
    """A body so long that the compiler needs minutes for it."""

    def kernel(x, out):
        value = x[...]
        for index in range(times):
            value = jnp.exp(value) * x[...] + index
        out[...] = value

    array = ShapeDtypeStruct((64, 128), F32)
    return pl.pallas_call(kernel, out_shape=array), (array,)


def spread() -> Program:
    """One block of 16 MiB through three transcendental functions: the compiler unrolls it and eats memory."""

    def kernel(x, out):
        out[...] = jnp.exp(jnp.sin(x[...]) * jnp.tanh(x[...]))

    array = ShapeDtypeStruct((2048, 2048), F32)
    wide = pltpu.CompilerParams(vmem_limit_bytes=120 * 2**20)
    return pl.pallas_call(kernel, out_shape=array, compiler_params=wide), (array,)


PROGRAMS = {
    program.__name__: program
    for program in (
        add,
        rows,
        square,
        chain,
        prefetched,
        ragged,
        matmul,
        too_large,
        misaligned,
        bad_block,
        unsupported,
        scan,
        until,
        overflowing,
        endless_grid,
        unrolled,
        spread,
    )
}


def serialised(name: str, **settings: int) -> bytes:
    """The program of that name, exported for a TPU."""
    function, arguments = PROGRAMS[name](**settings)
    check = export.DisabledSafetyCheck.custom_call("tpu_custom_call")
    exported = export.export(jax.jit(function), platforms=["tpu"], disabled_checks=[check])(*arguments)
    return bytes(exported.serialize())


def write(name: str, out: str, *settings: str) -> None:
    keywords = {key: int(value) for key, value in (setting.split("=") for setting in settings)}
    Path(out).write_bytes(serialised(name, **keywords))


def serve() -> None:
    for line in sys.stdin:
        error = None
        try:
            write(*json.loads(line))
        except (ValueError, NotImplementedError):  # what lowering says about a kernel
            error = traceback.format_exc()
        print(json.dumps(error), flush=True)


if __name__ == "__main__":
    write(*sys.argv[1:]) if len(sys.argv) > 1 else serve()
