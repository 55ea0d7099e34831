"""How far predictions are from published measurements, for kernels that can be written again in a few lines.

    python benchmarks/predict_accuracy.py --truth FILE [--family pf_matmul] [--limit N] [--timeout 120]

The file has one JSON object a line: `family`, `gen`, `value` in milliseconds, `shape` {M, K, N}, `config` {bm, bk,
bn, dtype, variant?} and `host_overhead_ms_est`, which is taken off because the published times are wall-clock. Two
families are known: `pf_matmul` (full sweeps, good for ranking) and `jaxdoc_matmul`. A row whose time is less than
one and a half times that overhead is noise: printed, but not in the summary. The interpreter that runs this needs
jax and libtpu. Nothing here fits anything: it prints how good or bad the model is.
"""

import argparse
import itertools
import json
import math
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from cairn.lab.predict import predict
from cairn.lab.service import CompileService

_TARGETS = {"v4": "tpu-v4", "v5e": "tpu-v5e", "v5p": "tpu-v5p", "v6e": "tpu-v6e", "v7x": "tpu7x"}
_DTYPES = {"bf16": jnp.bfloat16, "f32": jnp.float32}


def main() -> int:
    arguments = _arguments()
    rows = [json.loads(line) for line in arguments.truth.read_text().splitlines()]
    rows = [row for row in rows if row["family"] in arguments.family and row["kind"] == "time"][: arguments.limit]
    if not rows:
        print("no row of a known family in the file", file=sys.stderr)
        return 1
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    refused: dict[str, int] = defaultdict(int)
    with CompileService(Path(sys.executable)) as service:
        for row in rows:
            sweep = row.get("sweep", row["family"])
            measured_us = 1000.0 * (row["value"] - row.get("host_overhead_ms_est", 0.0))
            started = time.monotonic()
            predicted = _predict(service, row, arguments.timeout)
            spent_s = time.monotonic() - started
            text = predicted.refused or f"{predicted.us:9.1f} us, ratio {predicted.us / measured_us:.3f}"
            print(f"{row['id']:28} {_config(row):34} measured {measured_us:9.1f} us, {text}  [{spent_s:.1f} s]")
            if predicted.us is None:
                refused[sweep] += 1
            elif row["value"] > 1.5 * row.get("host_overhead_ms_est", 0.0):
                pairs[sweep].append((predicted.us, measured_us))
    for sweep in sorted({*pairs, *refused}):
        print(f"{sweep:24} {_summary(pairs[sweep], refused[sweep])}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, required=True, help="measurements, one JSON object a line")
    parser.add_argument("--family", nargs="*", default=["pf_matmul", "jaxdoc_matmul"])
    parser.add_argument("--limit", type=int, default=None, help="only the first N rows")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one compile")
    return parser.parse_args()


def _predict(service: CompileService, row: dict[str, Any], timeout_s: float) -> Any:
    target = _TARGETS[row["gen"]]
    return predict(service.compile(_export(row), target, timeout_s), target)


def _config(row: dict[str, Any]) -> str:
    config = row["config"]
    blocks = "x".join(str(config[key]) for key in ("bm", "bk", "bn"))
    return f"{row['shape']['M']}^3 {config['dtype']} {config.get('variant', '')} {blocks}"


def _export(row: dict[str, Any]) -> bytes:
    """The published kernel, written again: accumulator in VMEM, zeroed at the first k, written at the last."""
    shape, config = row["shape"], row["config"]
    dtype = _DTYPES[config["dtype"]]
    transposed = config.get("variant") == "rhs_transposed"
    sizes = (shape["M"], shape["N"], shape["K"])
    blocks = (config["bm"], config["bn"], config["bk"])
    semantics = ("parallel", "parallel", "arbitrary") if row["family"] == "jaxdoc_matmul" else None
    call = _matmul(
        sizes, blocks, dtype, semantics, transposed=transposed, relu=config.get("variant") == "fused_relu"
    )

    def run(x: jax.Array, y: jax.Array) -> jax.Array:
        return call(x, y.swapaxes(0, 1) if transposed else y)

    arguments = (
        jax.ShapeDtypeStruct((sizes[0], sizes[2]), dtype),
        jax.ShapeDtypeStruct((sizes[2], sizes[1]), dtype),
    )
    check = export.DisabledSafetyCheck.custom_call("tpu_custom_call")
    return bytes(export.export(jax.jit(run), platforms=["tpu"], disabled_checks=[check])(*arguments).serialize())


def _matmul(
    sizes: tuple[int, int, int],
    blocks: tuple[int, int, int],
    dtype: Any,
    semantics: Any,
    *,
    transposed: bool,
    relu: bool,
) -> Any:
    bm, bn, bk = blocks
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
        grid=tuple(size // block for size, block in zip(sizes, blocks, strict=True)),
        in_specs=[pl.BlockSpec((bm, bk), lambda i, j, k: (i, k)), y_spec],
        out_specs=pl.BlockSpec((bm, bn), lambda i, j, k: (i, j)),
        out_shape=jax.ShapeDtypeStruct(sizes[:2], dtype),
        scratch_shapes=[pltpu.VMEM((bm, bn), jnp.float32)],
        compiler_params=pltpu.CompilerParams(dimension_semantics=semantics) if semantics else None,
    )


def _summary(pairs: list[tuple[float, float]], refused: int) -> str:
    if not pairs:
        return f"n 0, refused {refused}"
    ratios = [predicted / measured for predicted, measured in pairs]
    error = statistics.fmean(abs(ratio - 1.0) for ratio in ratios)
    return (
        f"n {len(pairs)}, refused {refused}, median ratio {statistics.median(ratios):.3f}, "
        f"MAPE {error:.1%}, Kendall tau {_kendall(pairs):.3f}"
    )


def _kendall(pairs: list[tuple[float, float]]) -> float:
    """Kendall's tau-a: concordant less discordant pairs over all pairs."""
    agreement = [
        math.copysign(1.0, (a[0] - b[0]) * (a[1] - b[1])) if a[0] != b[0] and a[1] != b[1] else 0.0
        for a, b in itertools.combinations(pairs, 2)
    ]
    return statistics.fmean(agreement) if agreement else math.nan


if __name__ == "__main__":
    sys.exit(main())
