"""How a failure of somebody else's variant is named, and that nothing in their files is ever an error of the gate."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.judge.foreign.gate import check_results, report_results
from cairn.judge.foreign.status import STATUSES, classify_result, decisive_line
from judge.foreign_runs import ForeignRunDirectory, success

Run = ForeignRunDirectory

TRACEBACK = 'Traceback (most recent call last):\n  File "<string>", line 3, in run\n'
STATUS_CASES: list[tuple[dict[str, Any], str]] = [
    ({"status": "SUCCESS"}, "OK"),
    ({"status": 2}, "OK"),
    ({"status": "EvalStatus.SUCCESS"}, "OK"),
    ({"status": 1, "max_diff": 3.5}, "WRONG_OUTPUT"),
    ({"status": 0, "error": "anything"}, "COMPILE_ERROR"),
    ({"status": "0"}, "COMPILE_ERROR"),
    ({"status": "SUCCESS", "max_diff": math.nan}, "NON_FINITE"),
    ({"status": "INCORRECT", "error": "Correctness failed for shape {'M': 8}: max_diff=2.5"}, "WRONG_OUTPUT"),
    ({"status": "INCORRECT", "error": "Correctness failed for shape {'M': 8}: max_diff=nan"}, "NON_FINITE"),
    (
        {"status": "INCORRECT", "max_diff": math.inf, "error": "Correctness failed for shape {}: max_diff=x"},
        "NON_FINITE",
    ),
    (
        {"status": "INCORRECT", "max_diff": 0.0, "error": f"Correctness error: {TRACEBACK}TypeError: no"},
        "TRACE_ERROR",
    ),
    (
        {
            "status": "INCORRECT",
            "max_diff": 0.0,
            "error": f"Correctness error: {TRACEBACK}jax.errors.JaxRuntimeError: INTERNAL: Mosaic failed to compile",
        },
        "COMPILE_ERROR",
    ),
    (
        {
            "status": "INCORRECT",
            "max_diff": 0.0,
            "error": f"Correctness error: {TRACEBACK}XlaRuntimeError: RESOURCE_EXHAUSTED: Ran out of memory in memory"
            " space vmem. Used 40M of 32M.",
        },
        "VMEM_OOM",
    ),
    (
        {"status": "INCORRECT", "error": f"Correctness error: {TRACEBACK}jaxlib.XlaRuntimeError: core halted"},
        "RUNTIME_ERROR",
    ),
    ({"status": "INCORRECT", "error": "Could not find kernel_fn in the module"}, "TRACE_ERROR"),
    ({"status": "COMPILE_ERROR", "error": f"Compilation error: {TRACEBACK}NameError: x"}, "COMPILE_ERROR"),
    ({"status": "COMPILE_ERROR", "error": f"Benchmark error: {TRACEBACK}ValueError: x"}, "RUNTIME_ERROR"),
    ({"status": "COMPILE_ERROR", "error": "Subprocess timeout after 600s"}, "TIMEOUT"),
    ({"status": "COMPILE_ERROR", "error": "No EVAL_RESULT found for variant a"}, "INFRA"),
    ({"status": "COMPILE_ERROR", "error": "F0401 a.cc:9] Check failed: x == y\n*** SIGABRT"}, "COMPILE_ERROR"),
    ({"status": "COMPILE_ERROR", "error": "OSError: [Errno 28] No space left on device"}, "INFRA"),
    ({"status": "TIMEOUT"}, "TIMEOUT"),
    ({"status": "skipped?"}, "INFRA"),
    ({"latency_ms": 3.5}, "OK"),
    ({}, "INFRA"),
]


@pytest.mark.parametrize(("result", "expected"), STATUS_CASES)
def test_statuses_are_mapped(result: dict[str, Any], expected: str) -> None:
    assert classify_result(result) == expected


def test_a_misfiled_failure_is_noted_and_quoted(tmp_path: Path) -> None:
    run = Run(tmp_path).clean()
    error = f"Correctness error: {TRACEBACK}TypeError: 3 positional arguments but 4 were given\n-----\nnote"
    fingerprint = success(0)["metadata"]["fingerprint"]
    run.put(
        "f", {"status": "INCORRECT", "max_diff": 0.0, "error": error, "metadata": {"fingerprint": fingerprint}}
    )
    report = report_results(run.root)
    trust = next(each for each in report.variants if each.variant == "f")
    assert {reason.code for reason in trust.reasons} == {"misfiled_status"}
    assert (trust.status, trust.verdict) == ("TRACE_ERROR", "TRUSTED")
    assert trust.message == "TypeError: 3 positional arguments but 4 were given"
    assert decisive_line({"error": "a\nF1] Check failed: b\nValueError: c"}) == "F1] Check failed: b"


KNOWN_KEYS = """
status error max_diff latency_ms speedup flops compute_ratio metadata benchmark reference_benchmark timing_source
evaluation_times_ms cv median_ms profile mxu_utilization mxu0 mxu1 dual_ratio total vliw_bundle_count fingerprint
hw_utilization profile_diagnostics total_events window_us device jax source_hash reference_latency_ms lineages
best_kernel best_speedup iteration_1 baseline reference_perf_ok mxu_util_pct hbm_bandwidth_bytes id
"""
KEYS = st.sampled_from(KNOWN_KEYS.split())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**300, max_value=10**320)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["SUCCESS", "INCORRECT", "Subprocess timeout", "TPU v5p", "../..", "a\0b", "x" * 5000, "v\ud800"]
    )
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents=st.lists(ANY_JSON | st.dictionaries(KEYS, ANY_JSON, max_size=12), min_size=5, max_size=5))
def test_arbitrary_json_never_raises(tmp_path_factory: pytest.TempPathFactory, documents: list[Any]) -> None:
    root = tmp_path_factory.mktemp("any")
    run = Run(root)
    for number, document in enumerate(documents[:3]):
        run.put(f"v{number}", document, round_=number % 2)
    (root / "lineages.json").write_text(json.dumps(documents[3]))
    (root / "results.json").write_text(json.dumps(documents[4]))
    (root / "config.yaml").write_text(json.dumps(documents[4]))
    report = report_results(root)
    assert report.counts["results"] == len(report.variants) >= 1
    assert all(each.status in STATUSES for each in report.variants)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    run = Run(tmp_path_factory.mktemp("bytes"))
    folder = run.put("v", "")
    for path in (folder / "eval_result.json", run.root / "config.yaml", run.root / "lineages.json"):
        path.write_bytes(content)
    assert check_results(run.root)
