"""Small look-alikes of other people's run directories, written by the tests that read them."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

FINGERPRINT = {
    "device_kind": "TPU v5p",
    "jax": "0.10.2",
    "libtpu": "0.0.51",
    "commit": "0f3a9c1",
    "source_sha256": "11" * 32,
    "seed": 7,
    "flags": "",
}


def timing(*times: float, **more: Any) -> dict[str, Any]:
    """A timing block as pallas-evolve writes it, as far as the gate reads it."""
    middle = sorted(times)[len(times) // 2]
    return {"evaluation_times_ms": list(times), "median_ms": middle, "timing_source": "xprof_average", **more}


def success(number: int, **metadata: Any) -> dict[str, Any]:
    """A result with nothing wrong; `number` makes its figures its own, `metadata` overrides blocks of it."""
    base = 10.0 + 0.37 * number
    times = [base + step for step in (0.011, 0.0, 0.023, -0.013, 0.007)]
    reference = [20.0 + 0.001 * number + step for step in (0.01, 0.0, 0.02, -0.01, 0.005)]
    return {
        "status": "SUCCESS",
        "variant_id": f"v{number}",
        "fitness": 20.0 / base,
        "latency_ms": base,
        "speedup": 20.0 / base,
        "flops": 0.0,
        "compute_ratio": 0.5 + 0.001 * number,
        "metadata": {
            "reference_latency_ms": reference[0],
            "reference_perf_ok": True,
            "benchmark": timing(*times),
            "reference_benchmark": timing(*reference),
            "hw_utilization": {"mxu_util_pct": 30.0 + 0.123 * number, "vector_fills": 1000 + number},
            "profile_diagnostics": {"total_events": 500_000 + number, "window_us": 1e6 + number},
            "profile": {
                "vliw_bundle_count": 800 + number,
                "mxu_utilization": {
                    "mxu0": 464,
                    "mxu1": 504 - number,
                    "total": 968,
                    "dual_ratio": 0.9 - 0.01 * number,
                },
                "arithmetic_intensity": None,
            },
            "fingerprint": dict(FINGERPRINT),
            **copy.deepcopy(metadata),
        },
    }


class ForeignRunDirectory:
    """A run directory in the making."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, variant: str, result: Any, round_: int | str = 1, source: str | None = None) -> Path:
        """Write one result (text as it is, all else as JSON) and, if given, the kernel with its true hash."""
        folder = self.root / ("baseline" if round_ == "baseline" else f"iteration_{round_}/variants/{variant}")
        folder.mkdir(parents=True, exist_ok=True)
        if source is not None:
            (folder / "kernel.py").write_text(source)
            if isinstance(result, dict):
                digest = hashlib.sha256(source.encode()).hexdigest()
                result["metadata"].setdefault("fingerprint", {})["source_sha256"] = digest
        text = result if isinstance(result, str) else json.dumps(result)
        (folder / "eval_result.json").write_text(text, encoding="utf-8", errors="surrogatepass")
        return folder

    def clean(self, count: int = 4) -> "ForeignRunDirectory":
        """Fill two rounds with results that have nothing wrong."""
        for number in range(count):
            self.put(f"v{number}", success(number), round_=1 + number % 2)
        return self
