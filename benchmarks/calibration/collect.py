"""Compile published kernels once and keep what the compiler said: the model is then fitted and scored offline.

    python -m calibration.collect --truth FILE --cache DIR [--only FAMILY/CHIP ...] [--per-group N]

Run it from `benchmarks/` in an interpreter that has cairn, jax, libtpu and - for the families of that name -
`tokamax`. One file a row, `DIR/<id>.pickle.gz`, with the exported program and the compile result; rows that are
there already are skipped, failures are kept too. The cache belongs to the versions of jax and libtpu it was made with.
"""

import argparse
import contextlib
import gzip
import json
import pickle
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import jax
from calibration import own_kernels
from jax import export

from cairn.lab.service import CompileService

TARGETS = {"v4": "tpu-v4", "v5e": "tpu-v5e", "v5p": "tpu-v5p", "v6e": "tpu-v6e", "v7x": "tpu7x"}
_KINDS = {
    "v4": ("TPU v4", 2),
    "v5e": ("TPU v5 lite", 1),
    "v5p": ("TPU v5", 2),
    "v6e": ("TPU v6 lite", 1),
    "v7x": ("TPU7x", 1),
}
_OWN = {"pf_matmul": "matmul", "jaxdoc_matmul": "matmul", "v4_dma_overlap": "copy_loop"}
_TOKAMAX = {
    "tokamax_gmm": "grouped_product",
    "tokamax_fa_fwd": "flash_attention",
    "tokamax_fa_bwd": "flash_attention_backward",
    "tokamax_lce_fwd": "cross_entropy",
    "tokamax_lce_bwd": "cross_entropy_backward",
    "xla_ragged_dot": "xla_grouped_product",
    "xla_chunked_attention": "xla_attention",
    "xla_lce": "xla_cross_entropy",
}


def main() -> int:
    arguments = _arguments()
    rows = [json.loads(line) for line in arguments.truth.read_text(encoding="utf-8").splitlines()]
    chosen = choose(rows, arguments.only, arguments.per_group, arguments.slowest_compile_s)
    print(f"{len(chosen)} rows", flush=True)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    with CompileService(Path(sys.executable), recycle_after=40) as service:
        for number, row in enumerate(chosen):
            path = arguments.cache / (row["id"].replace("/", "~") + ".pickle.gz")
            if path.exists():
                continue
            started = time.monotonic()
            kept = _compile(service, row, arguments.timeout)
            temporary = path.with_suffix(".partial")
            with gzip.open(temporary, "wb", compresslevel=1) as file:
                pickle.dump(kept, file)
            temporary.rename(path)
            result = kept["result"]
            outcome = kept["error"] or (result.failure.kind if result.failure else "ok")
            print(f"{number} {row['id']} {outcome[:160]} {time.monotonic() - started:.1f} s", flush=True)
    return 0


def choose(rows: list[Any], only: list[str], per_group: int, slowest_compile_s: float) -> list[Any]:
    """Rows that can be constructed, at most so many of each family and chip, spread over the group."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        group = f"{row['family']}/{row['gen']}"
        known = (row["family"] in _OWN or row["family"] in _TOKAMAX) and _is_complete(row)
        quick = row.get("compile_ms", 0.0) <= 1000.0 * slowest_compile_s
        if row["kind"] == "time" and known and quick and (not only or group in only):
            groups[group].append(row)
    chosen: list[Any] = []
    for members in groups.values():
        step = max(1.0, len(members) / per_group)
        chosen.extend(members[int(i * step)] for i in range(min(per_group, len(members))))
    return chosen


def _is_complete(row: Any) -> bool:
    """Whether the row says what ran: not where the chunk was a default of then, or a bias or mask is missing here."""
    if row["family"] != "xla_chunked_attention":
        return True
    return "chunk_size" in row["config"] and "bias" not in row["shape"] and not row["shape"]["mask"]["bool_mask"]


def build(row: Any) -> bytes:
    """The row's program, serialised for its chip.

    Raises:
        Exception: whatever the kernel's author or jax raises while it is traced.
    """
    family = row["family"]
    if family in _OWN:
        function, arguments = getattr(own_kernels, _OWN[family])(row)
    else:
        from calibration import tokamax_kernels

        function, arguments = getattr(tokamax_kernels, _TOKAMAX[family])(row)
    kind, cores = _KINDS[row["gen"]]
    device = jax.sharding.AbstractDevice(device_kind=kind, num_cores=cores, platform="tpu")
    mesh = jax.sharding.AbstractMesh((), (), abstract_device=device)
    check = export.DisabledSafetyCheck.custom_call("tpu_custom_call")
    with jax.sharding.use_abstract_mesh(mesh):
        exported = export.export(jax.jit(function), platforms=["tpu"], disabled_checks=[check])(*arguments)
    return bytes(exported.serialize())


def _compile(service: CompileService, row: Any, timeout_s: float) -> dict[str, Any]:
    error, exported, result = "", b"", None
    try:
        exported = build(row)
    except Exception as raised:  # noqa: BLE001 - a kernel that does not lower is a row with that result
        error = f"{type(raised).__name__}: {raised}"
    if not error:
        result = service.compile(exported, TARGETS[row["gen"]], timeout_s)
    return {"row": row, "exported": exported, "result": result, "error": error}


def load(path: Path) -> dict[str, Any]:
    """One row of the cache."""
    with contextlib.closing(gzip.open(path, "rb")) as file:
        kept: dict[str, Any] = pickle.load(file)
    return kept


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, required=True, help="measurements, one JSON object a line")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the compile results")
    parser.add_argument("--only", nargs="*", default=[], help="family/chip, as in tokamax_gmm/v5p")
    parser.add_argument("--per-group", type=int, default=1000, help="rows of each family and chip")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for one compile")
    parser.add_argument("--slowest-compile-s", type=float, default=1e9, help="leave out published slower compiles")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
