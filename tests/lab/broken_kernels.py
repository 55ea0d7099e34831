"""Kernels that do not lower or compile, one function each; `case(name)` gives a function and its arguments.

The marks `# <-` stand on the line that a message must name.
"""

import jax
import jax.numpy as jnp
from jax import ShapeDtypeStruct
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

F32, BF16, I32 = jnp.float32, jnp.bfloat16, jnp.int32
TILE = ShapeDtypeStruct((8, 128), F32)


def _call(kernel, out=TILE, **keywords):
    return pl.pallas_call(kernel, out_shape=out, **keywords)


def block_not_divisible():
    spec = pl.BlockSpec((100, 60), lambda i: (i, 0))
    array = ShapeDtypeStruct((400, 400), F32)
    return _call(_copy, array, grid=(4,), in_specs=[spec], out_specs=spec), (array,)


def _copy(x, out):
    out[...] = x[...]


def block_of_other_rank():
    spec = pl.BlockSpec((8, 128, 1), lambda i: (i, 0, 0))
    array = ShapeDtypeStruct((32, 128), F32)
    return _call(_copy, array, grid=(4,), in_specs=[spec], out_specs=spec), (array,)


def index_map_too_short():
    spec = pl.BlockSpec((8, 128), lambda i: (i,))
    array = ShapeDtypeStruct((32, 128), F32)
    return _call(_copy, array, grid=(4,), in_specs=[spec], out_specs=spec), (array,)


def index_map_of_other_grid():
    spec = pl.BlockSpec((8, 128), lambda i, j: (i, j))
    array = ShapeDtypeStruct((32, 128), F32)
    return _call(_copy, array, grid=(4,), in_specs=[spec], out_specs=spec), (array,)


def sorts():
    def kernel(x, out):
        out[...] = jnp.sort(x[...], axis=-1)  # <-

    return _call(kernel), (TILE,)


def scalar_into_vmem():
    def kernel(x, out):
        out[0, 0] = 1.0  # <-

    return _call(kernel), (TILE,)


def gathers():
    def kernel(index, x, out):
        out[...] = x[...][index[...]]  # <-

    return _call(kernel), (ShapeDtypeStruct((8,), I32), TILE)


def fourier():
    def kernel(x, out):
        out[...] = jnp.fft.fft(x[...]).real  # <-

    return _call(kernel), (TILE,)


def cholesky():
    def kernel(x, out):
        out[...] = jnp.linalg.cholesky(x[...])  # <-

    return _call(kernel, ShapeDtypeStruct((128, 128), F32)), (ShapeDtypeStruct((128, 128), F32),)


def scratch_too_large():
    def kernel(x, out, scratch):
        scratch[:8, :128] = x[...]
        out[...] = scratch[:8, :128]

    return _call(kernel, scratch_shapes=[pltpu.VMEM((8192, 8192), F32)]), (TILE,)


def blocks_too_large():
    def kernel(x, out):
        out[...] = x[:8, :128]

    specs = pl.BlockSpec((8192, 8192), lambda i: (i, 0)), pl.BlockSpec((8, 128), lambda i: (i, 0))
    array = ShapeDtypeStruct((16384, 8192), F32)
    return _call(kernel, ShapeDtypeStruct((16, 128), F32), grid=(2,), in_specs=specs[:1], out_specs=specs[1]), (
        array,
    )


def blocks_too_large_together():
    """Each fits; the compiler unrolls all of the product before it adds them up, which takes minutes."""

    def kernel(x, y, out):
        out[...] += jnp.dot(x[...], y[...], preferred_element_type=F32).astype(BF16)

    array = ShapeDtypeStruct((8192, 8192), BF16)
    left = pl.BlockSpec((2048, 2048), lambda i, j, k: (i, k))
    right = pl.BlockSpec((2048, 2048), lambda i, j, k: (k, j))
    out = pl.BlockSpec((2048, 2048), lambda i, j, k: (i, j))
    call = _call(kernel, array, grid=(4, 4, 4), in_specs=[left, right], out_specs=out)
    return call, (array, array)


def limit_exceeded():
    """Whether it fits is not certain beforehand, as XLA might park the operand."""
    spec = pl.BlockSpec((2048, 768), lambda i: (i, 0))
    array = ShapeDtypeStruct((8192, 768), F32)
    return _call(_copy, array, grid=(4,), in_specs=[spec], out_specs=spec), (array,)


def one_core_too_few():
    spec = pl.BlockSpec((8, 128), lambda i: (i, 0))
    parallel = pltpu.CompilerParams(dimension_semantics=(pltpu.CORE_PARALLEL,))
    array = ShapeDtypeStruct((32, 128), F32)
    return _call(_copy, array, grid=(4,), in_specs=[spec], out_specs=spec, compiler_params=parallel), (array,)


def imports_what_is_not_there():
    import fast_math_of_mine  # <-

    return _call(fast_math_of_mine.kernel), (TILE,)


def table_too_large():
    def kernel(table, x, out):
        out[...] = x[...] * table[0]

    specs = [pl.BlockSpec(memory_space=pltpu.SMEM), pl.BlockSpec((8, 128), lambda: (0, 0))]
    return _call(kernel, in_specs=specs), (ShapeDtypeStruct((2**20,), F32), TILE)


def program_too_large():
    def run(x):
        wide = jnp.broadcast_to(x[:, None, None], (4096, 4096, 4096)) * x[None, :, None]
        return jnp.sum(jnp.sort(wide, axis=1), axis=(0, 1)) + wide[1, 2]

    return run, (ShapeDtypeStruct((4096,), F32),)


def lanes_not_aligned():
    def kernel(at, x, out):
        out[...] = x[:, pl.ds(at[0], 128)]  # <-

    specs = [pl.BlockSpec(memory_space=pltpu.SMEM), pl.BlockSpec((8, 512), lambda: (0, 0))]
    return _call(kernel, in_specs=specs), (ShapeDtypeStruct((1,), I32), ShapeDtypeStruct((8, 512), F32))


def copy_not_aligned():
    def kernel(at, x, out, arrived):
        copy = pltpu.make_async_copy(x.at[:, pl.ds(at[0], 128)], out, arrived)
        copy.start()  # <-
        copy.wait()

    specs = [pl.BlockSpec(memory_space=pltpu.SMEM), pl.BlockSpec(memory_space=pl.ANY)]
    call = _call(kernel, in_specs=specs, scratch_shapes=[pltpu.SemaphoreType.DMA])
    return call, (ShapeDtypeStruct((1,), I32), ShapeDtypeStruct((8, 512), F32))


def slice_beyond_the_end():
    def kernel(x, out):
        out[...] = x[pl.ds(4, 8), :]  # <-

    return _call(kernel), (TILE,)


def store_of_other_type():
    def kernel(x, out):
        out.set(x[...])  # <-

    return _call(kernel, ShapeDtypeStruct((8, 128), BF16)), (TILE,)


def half_precision_product():
    def kernel(x, y, out):
        out[...] = jnp.dot(x[...], y[...], preferred_element_type=F32)

    half = ShapeDtypeStruct((128, 128), jnp.float16)
    return _call(kernel, ShapeDtypeStruct((128, 128), F32)), (half, half)


def complex_numbers():
    def kernel(x, out):
        out[...] = jax.lax.convert_element_type(x[...], jnp.complex64).real  # <-

    return _call(kernel), (TILE,)


def reshapes_across_tiles():
    def kernel(x, out):
        out[...] = x[...].reshape(out.shape)  # <-

    return _call(kernel, ShapeDtypeStruct((5, 168), F32)), (ShapeDtypeStruct((8, 105), F32),)


def products_that_do_not_fit():
    def kernel(x, y, out):
        out[...] = jnp.dot(x[...], y[...])  # <-

    return _call(kernel), (TILE, ShapeDtypeStruct((64, 128), F32))


def unknown_name():
    def kernel(x, out):
        out[...] = x[...] * undefined_scale  # noqa: F821  # <-

    return _call(kernel), (TILE,)


def too_few_arguments():
    def kernel(x):
        x[...]

    return _call(kernel), (TILE,)


def captured_array():
    table = jnp.arange(1024, dtype=F32).reshape(8, 128)

    def kernel(x, out):
        out[...] = x[...] + table

    return _call(kernel), (TILE,)


def calls_back():
    def kernel(x, out):
        out[...] = jax.pure_callback(lambda value: value, TILE, x[...])  # <-

    return _call(kernel), (TILE,)


def branches_on_a_value():
    def kernel(x, out):
        if x[0, 0] > 0:  # <-
            out[...] = x[...]

    return _call(kernel), (TILE,)


def results_of_other_shape():
    def kernel(x, out):
        out[...] = x[:4, :]  # <-

    return _call(kernel), (TILE,)


def random_bits():
    def kernel(x, out):
        key = jax.random.PRNGKey(0)
        out[...] = x[...] + jax.random.gamma(key, 1.0, (8, 128))  # <-

    return _call(kernel), (TILE,)


def semaphore_as_data():
    def kernel(x, out, flag):
        out[...] = x[...] + flag[...]  # <-

    return _call(kernel, scratch_shapes=[pltpu.SemaphoreType.DMA]), (TILE,)


def case(name):
    return globals()[name]()
