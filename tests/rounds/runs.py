"""Run directories made up for the tests: results that the gate trusts, and ones that it does not."""

import hashlib
import json
from pathlib import Path
from typing import Any

MISMATCH = "Correctness failed for shape {'B': 1}: max_diff=3.5"
MOSAIC = (
    "Correctness error: Traceback (most recent call last):\n"
    '  File "/home/somebody/evaluate.py", line 99, in stage\n'
    "jax.errors.JaxRuntimeError: INTERNAL: Mosaic failed to compile TPU kernel: Bad lhs type f32[{n},128]\n"
)
STRATEGY = """\
## Round 1 Strategy

### Variant: fused
**Technical direction**: one kernel | for `both` passes
**Profile motivation**: two launches

### Variant: narrow
**Technical direction**: blocks of 64 lanes
"""


def success(speedup: float, seed: int, **more: Any) -> dict[str, Any]:
    """A success with samples and a fingerprint of its own."""
    latency = 10.0 / speedup
    times = [latency * (1 + 0.001 * ((seed * step) % 7 - 3)) for step in range(1, 21)]
    reference = [10.0 * (1 + 0.0005 * ((seed + step) % 5 - 2)) for step in range(20)]
    fingerprint = {
        "device": "TPU v5p",
        "jax": "0.10.2",
        "libtpu": "0.0.51",
        "commit": "abc1234",
        "source_sha256": f"{seed:064x}",
        "seed": seed,
        "flags": "",
    }
    metadata = {
        "reference_latency_ms": 10.0,
        "reference_perf_ok": True,
        "benchmark": {"evaluation_times_ms": times, "median_ms": latency, "cv": 0.002, "timing_source": "device"},
        "reference_benchmark": {
            "evaluation_times_ms": reference,
            "median_ms": 10.0,
            "cv": 0.001,
            "timing_source": "device",
        },
        "fingerprint": fingerprint,
    }
    data = {
        "status": "SUCCESS",
        "fitness": speedup,
        "speedup": speedup,
        "latency_ms": latency,
        "metadata": metadata,
    }
    return {**data, **more}


def failure(error: str, status: str = "INCORRECT", **more: Any) -> dict[str, Any]:
    return {"status": status, "error": error, "max_diff": 0.0, **more}


def write_round(run: Path, number: int, results: dict[str, dict[str, Any] | None]) -> Path:
    """One iteration; None stands for a variant whose result has not come yet."""
    folder = run / f"iteration_{number}"
    for name, data in results.items():
        variant = folder / "variants" / name
        variant.mkdir(parents=True)
        source = f"# {name}\n"
        (variant / "kernel.py").write_text(source)
        if data is not None:
            known = data.get("metadata", {}).get("fingerprint")
            if known:
                known["source_sha256"] = hashlib.sha256(source.encode()).hexdigest()
            (variant / "eval_result.json").write_text(json.dumps({"variant_id": name, **data}))
    return folder


def make_run(root: Path) -> Path:
    """Two rounds: one lineage begun, then a gain, two equal errors, a slow one, and a missing one."""
    run = root / "gdn_20260506_101500"
    write_round(run, 1, {"first": success(1.2, 3), "broken": failure(MISMATCH)})
    lineages = {
        "round": 1,
        "note": "kept",
        "lineages": [
            {
                "id": "L1",
                "parent": None,
                "best_speedup": 1.2,
                "best_kernel": "iteration_1/variants/first/kernel.py",
                "direction": "first",
                "history": ["iter-1-first"],
                "stagnant_rounds": 0,
                "rounds_active": 1,
            }
        ],
        "pruned": [],
    }
    (run / "lineages.json").write_text(json.dumps(lineages))
    results = {
        "L1_fused": success(1.5, 5),
        "L1_slow": success(1.21, 11),
        "narrow": failure(MOSAIC.format(n=64)),
        "wide": failure(MOSAIC.format(n=256)),
        "late": None,
    }
    folder = write_round(run, 2, results)
    (folder / "strategy.md").write_text(STRATEGY.replace("fused", "L1_fused").replace("Round 1", "Round 2"))
    (folder / "variants" / "__pycache__").mkdir()
    return run


def plan(run: Path, **changes: Any) -> dict[str, Any]:
    """A plan that decides every variant of round 2."""
    keys: dict[str, Any] = {
        "run": str(run),
        "round": 2,
        "kernel": "gdn",
        "date": "2026-05-07",
        "add": [
            {
                "type": "failure",
                "title": "float32 on the left of a bfloat16 matmul is refused",
                "variants": ["narrow", "wide"],
                "fields": {
                    "Symptom": "`Mosaic failed to compile: Bad lhs type`",
                    "Root cause": "r",
                    "Fix": "cast",
                },
            },
            {
                "type": "success",
                "title": "One kernel for both passes",
                "variants": ["L1_fused"],
                "fields": {
                    "Optimization": "o",
                    "Impact": "1.2x -> 1.5x on B=1",
                    "Why it works": "w",
                    "Applicable when": "a",
                },
            },
        ],
        "skip": {"L1_slow": "1 % better", "late": "no result"},
        "notes": {"L1_fused": "halves the launches"},
    }
    return {**keys, **changes}
