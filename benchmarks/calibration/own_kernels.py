"""Published kernels that can be written again in a few lines: tiled products and copy loops.

Each builder takes a row of the measurements and gives a function with its arguments' shapes.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

Program = tuple[Callable[..., Any], tuple[Any, ...]]
Row = dict[str, Any]
_DTYPES = {"bf16": jnp.bfloat16, "f32": jnp.float32}


def matmul(row: Row) -> Program:
    """Accumulator in VMEM, zeroed at the first k, written at the last."""
    shape, config = row["shape"], row["config"]
    dtype = _DTYPES[config["dtype"]]
    transposed = config.get("variant") == "rhs_transposed"
    sizes = (shape["M"], shape["N"], shape["K"])
    semantics = ("parallel", "parallel", "arbitrary") if row["family"] == "jaxdoc_matmul" else None
    call = tiled_product(sizes, config, dtype, semantics, transposed=transposed)

    m, n, k = sizes  # the transposed operand is stored that way: nothing is moved before the kernel
    right = (n, k) if transposed else (k, n)
    return call, (jax.ShapeDtypeStruct((m, k), dtype), jax.ShapeDtypeStruct(right, dtype))


def tiled_product(sizes: Any, config: Any, dtype: Any, semantics: Any, *, transposed: bool) -> Any:
    """The call; `sizes` is (m, n, k), `config` has the blocks and may ask for a fused relu."""
    bm, bn, bk = (config[key] for key in ("bm", "bn", "bk"))
    relu = config.get("variant") == "fused_relu"
    dimensions = (((1,), (1,)), ((), ())) if transposed else (((1,), (0,)), ((), ()))

    def kernel(x: Any, y: Any, out: Any, total: Any) -> None:
        @pl.when(pl.program_id(2) == 0)
        def _() -> None:
            total[...] = jnp.zeros_like(total)

        total[...] += jax.lax.dot_general(x[...], y[...], dimensions, preferred_element_type=jnp.float32)

        @pl.when(pl.program_id(2) == pl.num_programs(2) - 1)
        def _() -> None:
            value = jnp.maximum(total[...], 0.0) if relu else total[...]
            out[...] = value.astype(out.dtype)

    y_spec = (
        pl.BlockSpec((bn, bk), lambda i, j, k: (j, k))
        if transposed
        else pl.BlockSpec((bk, bn), lambda i, j, k: (k, j))
    )
    return pl.pallas_call(
        kernel,
        grid=tuple(size // block for size, block in zip(sizes, (bm, bn, bk), strict=True)),
        in_specs=[pl.BlockSpec((bm, bk), lambda i, j, k: (i, k)), y_spec],
        out_specs=pl.BlockSpec((bm, bn), lambda i, j, k: (i, j)),
        out_shape=jax.ShapeDtypeStruct(sizes[:2], dtype),
        scratch_shapes=[pltpu.VMEM((bm, bn), jnp.float32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=semantics) if semantics else None,
    )


def copy_loop(row: Row) -> Program:
    """A loop over tiles with raw asynchronous copies; the published figure is core cycles for one tile."""
    pattern, rows = row["config"]["pattern"], row["config"]["tile_rows"]
    tiles = row["shape"]["rows"] // rows

    def kernel(a: Any, b: Any, out: Any, scratch: Any, other: Any, flags: Any) -> None:
        def tile(ref: Any, i: Any) -> Any:
            return ref.at[pl.ds(i * rows, rows)]

        def body(i: Any, _: Any) -> None:
            read = pltpu.make_async_copy(tile(a, i), scratch, flags.at[0])
            again = pltpu.make_async_copy(tile(b, i), other, flags.at[1])
            write = pltpu.make_async_copy(other, tile(out, i), flags.at[1])
            started = {"rd": [read], "wr": [write], "rd_wr": [read, write], "rd_rd": [read, again]}
            if pattern == "rd_then_wr":
                for copy in (read, write):
                    copy.start()
                    copy.wait()
                return
            for copy in started[pattern]:
                copy.start()
            for copy in started[pattern]:
                copy.wait()

        jax.lax.fori_loop(0, tiles, body, None)

    array = jax.ShapeDtypeStruct((row["shape"]["rows"], row["shape"]["lanes"]), jnp.float32)
    anywhere = pl.BlockSpec(memory_space=pl.ANY)
    tile_memory = pltpu.VMEM((rows, row["shape"]["lanes"]), jnp.float32)
    call = pl.pallas_call(
        kernel,
        in_specs=[anywhere, anywhere],
        out_specs=anywhere,
        out_shape=array,
        scratch_shapes=[tile_memory, tile_memory, pltpu.SemaphoreType.DMA((2,))],
    )
    return call, (array, array)
