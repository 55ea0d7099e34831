"""Published kernels of the package `tokamax`, and the XLA programs measured beside them, from their rows.

Group sizes and masks are constants of the program, as they were when the caches were filled; where a row names only
the number of rows and groups, they are drawn with tokamax's own generator.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from tokamax._src.ops.attention import base as attention_base
from tokamax._src.ops.attention import pallas_mosaic_tpu as attention
from tokamax._src.ops.attention import pallas_mosaic_tpu_vjp as attention_vjp
from tokamax._src.ops.attention import xla_chunked
from tokamax._src.ops.linear_softmax_cross_entropy_loss import base as loss_base
from tokamax._src.ops.linear_softmax_cross_entropy_loss import pallas_mosaic_tpu as loss
from tokamax._src.ops.ragged_dot import base as ragged_base
from tokamax._src.ops.ragged_dot import pallas_mosaic_tpu as ragged

Program = tuple[Callable[..., Any], tuple[Any, ...]]
Row = dict[str, Any]
_TYPES = {"bf16": jnp.bfloat16, "f32": jnp.float32, "i32": jnp.int32}
flags.FLAGS.mark_as_parsed()  # tokamax reads its settings from there; the command line is not for it
for _operation in (
    ragged.PallasMosaicTpuRaggedDot,
    attention.PallasMosaicTpuFlashAttention,
    attention_vjp.PallasMosaicTpuFlashAttentionVjp,
    loss.PallasMosaicTpuLinearSoftmaxCrossEntropyLoss,
    loss.PallasMosaicTpuLinearSoftmaxCrossEntropyLossVjp,
):
    _operation.supported_on = lambda *_: True  # they ask the machine they are traced on, which is not the target


def aval(text: str) -> Any:
    """`bf16[8,128]` as a shape."""
    match = re.fullmatch(r"(\w+)\[([\d,]*)\]", text)
    assert match is not None, text
    return jax.ShapeDtypeStruct(tuple(int(n) for n in match[2].split(",") if n), _TYPES[match[1]])


def grouped_product(row: Row) -> Program:
    operation = ragged.PallasMosaicTpuRaggedDot(config=ragged.Config(**_tiles(row)))
    return _grouped(operation, row["shape"])


def _tiles(row: Row) -> dict[str, Any]:
    """The configuration as this version of tokamax names it.

    Where the right side is summed over its last axis, the caches for v5e and v5p name its tiles by its own axes: read
    otherwise, 19 of their 27 rows would have a tile longer than its dimension, and read so none.
    """
    config = dict(row["config"])
    summed = row["shape"]["ragged_dot_dimension_numbers"]["dot_dimension_numbers"][0][1][0]
    if summed == 2 and row["gen"] in ("v5e", "v5p"):
        config["tile_k"], config["tile_n"] = config["tile_n"], config["tile_k"]
    return config


def xla_grouped_product(row: Row) -> Program:
    return _grouped(ragged_base.RaggedDot(), row["shape"])


def _grouped(operation: Any, shape: Any) -> Program:
    sizes = shape["group_sizes"]
    if "values" in sizes:
        groups = tuple(sizes["values"])
    else:
        groups = ragged_base.generate_group_sizes(m=sizes["total_size"], num_groups=sizes["num_groups"])
    numbers = shape["ragged_dot_dimension_numbers"]
    dimensions = jax.lax.RaggedDotDimensionNumbers(
        dot_dimension_numbers=tuple(tuple(list(d) for d in pair) for pair in numbers["dot_dimension_numbers"]),
        lhs_ragged_dimensions=numbers["lhs_ragged_dimensions"],
        rhs_group_dimensions=numbers["rhs_group_dimensions"],
    )
    wanted = shape.get("preferred_element_type")

    def run(lhs: jax.Array, rhs: jax.Array) -> Any:
        return operation(
            lhs,
            rhs,
            group_sizes=jnp.asarray(np.asarray(groups, np.int32)),
            ragged_dot_dimension_numbers=dimensions,
            preferred_element_type=jnp.dtype(wanted) if wanted else None,
        )

    return run, (aval(shape["lhs"]), aval(shape["rhs"]))


def flash_attention(row: Row) -> Program:
    return _attention(attention.PallasMosaicTpuFlashAttention(config=attention.Config(**row["config"])), row)


def xla_attention(row: Row) -> Program:
    chunk = row["config"].get("chunk_size")
    return _attention(xla_chunked.XlaChunkedDotProductAttention(**({"chunk_size": chunk} if chunk else {})), row)


def _attention(operation: Any, row: Row) -> Program:
    shape = row["shape"]

    def run(q: jax.Array, k: jax.Array, v: jax.Array) -> Any:
        return operation(
            q,
            k,
            v,
            logits_scale=shape["logits_scale"],
            is_causal=shape["mask"]["is_causal"],
            return_residuals=shape["return_residuals"],
        )

    return run, tuple(aval(shape[name]) for name in "qkv")


def flash_attention_backward(row: Row) -> Program:
    shape = row["shape"]
    operation = attention_vjp.PallasMosaicTpuFlashAttentionVjp(config=attention_vjp.Config(**row["config"]))
    default = jax.lax.DotAlgorithmPreset.DEFAULT
    mask = attention_base.Mask(is_causal=shape["mask"]["is_causal"])

    def run(*arrays: Any) -> Any:  # residuals, then out, dout, q, k, v
        grads = operation(
            arrays[:2],
            *arrays[2:],
            precision=(default, default),
            logits_dtype=jnp.dtype(jnp.float32),
            logits_scale=shape["logits_scale"],
            bias=None,
            logits_soft_cap=None,
            mask=mask,
            dropout_mask=None,
            dropout_rate=0.0,
            paging_info=None,
            q_indices=None,
            k_indices=None,
            normalize_output=True,
        )
        return grads["q"], grads["k"], grads["v"]

    texts = (*shape["residuals"], *(shape[name] for name in ("out", "dout", "q", "k", "v")))
    return run, tuple(aval(text) for text in texts)


def cross_entropy(row: Row) -> Program:
    config = loss.Config(**row["config"])
    return _loss(loss.PallasMosaicTpuLinearSoftmaxCrossEntropyLoss(config=config), row["shape"])


def xla_cross_entropy(row: Row) -> Program:
    return _loss(loss_base.LinearSoftmaxCrossEntropyLoss(), row["shape"])


def _loss(operation: Any, shape: Any) -> Program:
    run = functools.partial(operation, reduction=shape["reduction"])
    return run, tuple(aval(shape[name]) for name in ("x", "labels", "w"))


def cross_entropy_backward(row: Row) -> Program:
    shape = row["shape"]
    config = loss.Config(**row["config"])
    operation = loss.PallasMosaicTpuLinearSoftmaxCrossEntropyLossVjp(config=config)

    def run(lse: Any, out: Any, dout: Any, x: Any, labels: Any, w: Any) -> Any:
        return operation((lse,), out, dout, x, labels, w, reduction=shape["reduction"])

    texts = (shape["residuals"][0], *(shape[name] for name in ("out", "dout", "x", "labels", "w")))
    return run, tuple(aval(text) for text in texts)
