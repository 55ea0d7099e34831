"""The gate for other people's results: every planted fault is found with its code, and a clean run is trusted."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cairn.errors import BadInput
from cairn.judge.foreign.findings import SEVERITY_OF
from cairn.judge.foreign.gate import ResultsReport, check_results, report_results
from judge.foreign_runs import ForeignRunDirectory, success, timing

Run = ForeignRunDirectory
Plant = Callable[[Run], Any]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path).clean()


def codes(report: ResultsReport, variant: str) -> set[str]:
    return {reason.code for each in report.variants if each.variant == variant for reason in each.reasons}


def with_result(**fields: Any) -> Plant:
    return lambda run: run.put("bad", {**success(40), **fields})


def with_metadata(**blocks: Any) -> Plant:
    return lambda run: run.put("bad", success(40, **blocks))


def profile(**fields: Any) -> dict[str, Any]:
    return {**success(40)["metadata"]["profile"], **fields}


def same_samples(run: Run) -> None:
    run.put("bad", success(40, benchmark=success(1)["metadata"]["benchmark"]), source="a = 1")


def same_two_latencies(run: Run) -> None:
    for name in ("bad", "other"):
        old = {**success(40), "latency_ms": 9410.252439499913, "variant_id": name}
        old["metadata"] = {"reference_latency_ms": 7764.902787999858, "note": name}
        run.put(name, old)


def kernel_of_another_as_reference(run: Run) -> None:
    run.put("bad", success(40, reference_benchmark=success(1)["metadata"]["benchmark"]))


def whole_file_copied_over_another_kernel(run: Run) -> None:
    run.put("first", success(40), source="a = 1")
    folder = run.put("bad", success(40), source="a = 1")
    (folder / "kernel.py").write_text("a = 2")


def with_text(name: str, text: str) -> Plant:
    return lambda run: (run.put("bad", success(40)) / name).write_text(text)


def edited_kernel(run: Run) -> None:
    (run.put("bad", success(40), source="a = 1") / "kernel.py").write_text("a = 2")


def device(kind: str) -> dict[str, Any]:
    return {**success(0)["metadata"]["fingerprint"], "device_kind": kind}


def config_peak(run: Run) -> None:
    (run.root / "config.yaml").write_text("evaluator: {roofline: {peak_flops: 918e12, peak_hbm_bw: 1759e9}}\n")
    run.put("bad", {**success(40), "flops": 918e12 * 0.03})


def cut_short(run: Run) -> None:
    run.put("bad", success(40, profile_diagnostics={"total_events": 1_000_000, "window_us": 5.5}))


PLANTED: list[tuple[str, Plant]] = [
    ("unreadable", lambda run: run.put("bad", '{"status": "SUCC')),
    ("unreadable", lambda run: run.put("bad", "[1, 2]")),
    ("unreadable", lambda run: run.put("bad", "[" * 100_000)),
    ("unreadable", lambda run: run.put("bad", '{"a":' * 150 + "1" + "}" * 150)),
    ("unreadable", lambda run: (run.root / "iteration_1/variants/bad/eval_result.json").mkdir(parents=True)),
    ("identical_timing", same_samples),
    ("identical_timing", same_two_latencies),
    ("identical_timing", kernel_of_another_as_reference),
    ("identical_timing", whole_file_copied_over_another_kernel),
    ("identical_reference", with_metadata(reference_benchmark=success(1)["metadata"]["reference_benchmark"])),
    ("identical_counters", with_metadata(hw_utilization=success(1)["metadata"]["hw_utilization"])),
    ("identical_counters", with_metadata(profile_diagnostics=success(1)["metadata"]["profile_diagnostics"])),
    ("iteration_outlier", with_metadata(benchmark=timing(13.53, 13.43, 13.54, 0.0006, 13.44))),
    ("iteration_outlier", with_metadata(reference_benchmark=timing(20.0, 20.1, 30.2, 20.0, 20.0))),
    ("iteration_outlier", with_metadata(benchmark=timing(0.0, 0.0, 0.0))),
    ("iteration_outlier", with_metadata(benchmark=timing(-1.0, -1.1, -0.9))),
    ("high_cv", with_metadata(benchmark=timing(10.0, 10.8, 9.2, 10.7, 9.3))),
    ("high_cv", with_metadata(benchmark=timing(10.0, 10.01, 10.02, cv=0.051))),
    ("truncated_capture", cut_short),
    ("mixed_timing_source", with_metadata(benchmark=timing(9.0, 9.1, 9.2, timing_source="wallclock"))),
    ("non_finite", with_result(fitness=math.nan)),
    ("non_finite", with_result(speedup=math.inf)),
    ("non_finite", with_result(fitness=10**400)),
    ("non_finite", with_result(max_diff="NaN")),
    ("non_finite", with_metadata(benchmark=timing(9.0, 9.1, math.nan))),
    ("above_roofline", with_metadata(profile=profile(compute_efficiency_pct=100.5))),
    ("above_roofline", with_metadata(hw_utilization={"mxu_util_pct": 140.2, "vector_fills": 4})),
    ("above_roofline", with_result(compute_ratio=1.2)),
    ("above_roofline", with_result(flops=2e13, latency_ms=14.8)),
    ("above_roofline", with_metadata(profile=profile(hbm_bandwidth_bytes=1e11))),
    ("above_roofline", config_peak),
    ("reference_drift", with_metadata(reference_benchmark=timing(20.5, 20.51, 20.52))),
    ("reference_failed", with_metadata(reference_perf_ok=False)),
    ("missing_fingerprint", with_metadata(fingerprint=None)),
    ("missing_fingerprint", with_metadata(fingerprint={"jax": "0.10.2", "seed": 1})),
    ("source_mismatch", edited_kernel),
    ("no_timing_samples", with_metadata(benchmark=None)),
    ("no_timing_samples", with_metadata(benchmark={"median_ms": 9.0, "evaluation_times_ms": [9.0]})),
    (
        "no_parameters",
        with_text("hlo_post_opt.txt", "HloModule m, entry_computation_layout={()->bf16[8,128]{1,0}}\n"),
    ),
    ("scalar_output", with_text("hlo_post_opt.txt", "HloModule m\n\nENTRY %main.1 (p: f32[8]) -> f32[] {\n}\n")),
    ("not_final_bundles", with_text("llo_final.txt", "%1 = vadd\n%2 = vmul\n")),
    ("not_final_bundles", with_metadata(profile=profile(mxu_utilization={"mxu0": 4656, "mxu1": 0}))),
]


@pytest.mark.parametrize(("code", "plant"), PLANTED, ids=[f"{i}-{code}" for i, (code, _) in enumerate(PLANTED)])
def test_planted_fault_is_found(run: Run, code: str, plant: Plant) -> None:
    plant(run)
    report = report_results(run.root)
    bad = next(each for each in report.variants if each.variant == "bad")
    assert code in codes(report, "bad"), bad.reasons
    assert bad.verdict == "UNTRUSTED"
    assert all((run.root / path).exists() for reason in bad.reasons for path in reason.evidence)
    others = {each.code for each in check_results(run.root) if each.variant not in ("bad", "first", "other")}
    assert others <= {code}, "a fault of one result accuses another of something else"
    assert report.counts["untrusted"] >= 1


def test_every_code_has_a_planted_fault() -> None:
    elsewhere = {"constant_metric", "misfiled_status", "evidence_missing"}
    assert {code for code, _ in PLANTED} | elsewhere == SEVERITY_OF.keys()


def test_a_clean_run_is_trusted(run: Run) -> None:
    failure = {"status": "COMPILE_ERROR", "error": "E: Check failed: lanes == 128", "metadata": {}}
    failure["metadata"] = {"fingerprint": success(0)["metadata"]["fingerprint"]}
    run.put("broken", failure)
    run.put(
        "a_list", success(9, hw_utilization=None, profile_diagnostics=None, profile={"ok": False, "error": "x"})
    )
    (run.root / "iteration_1/variants/v0/__pycache__").mkdir()
    (run.root / "iteration_3/variants").mkdir(parents=True)
    (run.root / "iteration_1/variants/unfinished").mkdir()
    hlo = "HloModule m, entry_computation_layout={(f32[8,128]{1,0:T(8,128)})->(f32[], f32[8]{0})}\n"
    (run.root / "iteration_1/variants/v0/hlo_post_opt.txt").write_text(hlo)
    (run.root / "iteration_1/variants/v0/llo_final.txt").write_text("{ %1 = vadd ;; %2 = vmul }\n")
    report = report_results(run.root)
    assert check_results(run.root) == []
    assert {each.verdict for each in report.variants} == {"TRUSTED"}
    assert (report.counts["results"], report.counts["trusted"], report.counts["timing_blocks"]) == (6, 6, 10)


def test_a_cpu_needs_no_libtpu(tmp_path: Path) -> None:
    fingerprint = {key: value for key, value in device("cpu").items() if key != "libtpu"}
    Run(tmp_path).put("v", success(1, fingerprint=fingerprint), round_=0)
    assert check_results(tmp_path) == []


def test_honest_limits_are_not_crossed(run: Run) -> None:
    run.put("slow_reference", success(50, reference_benchmark=timing(20.39, 20.395, 20.4)))
    run.put("spread", success(51, benchmark=timing(10.0, 10.6, 9.6, 10.4, 9.5)))
    run.put("long", success(52, profile_diagnostics={"total_events": 999_999, "window_us": 3.25}))
    run.put("full", success(53, hw_utilization={"mxu_util_pct": 100.0, "vector_fills": 9}))
    run.put("no_matrices", success(54, profile=profile(mxu_utilization={"mxu0": 0, "mxu1": 0, "total": 0})))
    assert check_results(run.root) == []


def test_stale_copies_and_bad_blocks_are_counted(tmp_path: Path) -> None:
    """The shape of the published run: 14 successes, groups of 3, 4 and 3 with the same samples, so 7 copies."""
    run = Run(tmp_path)
    groups = [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 6]
    for number, group in enumerate(groups):
        blocks = {"benchmark": success(group)["metadata"]["benchmark"]}
        if number in (0, 13):
            blocks["reference_benchmark"] = timing(20.0 + number / 1000, 20.0, 12.3, 20.0, 0.0009)
        run.put(f"v{number}", success(number, **blocks), round_=number % 3)
    report = report_results(tmp_path)
    assert (report.counts["stale_copies"], report.codes["identical_timing"]) == (7, 10)
    assert (report.counts["bad_timing_blocks"], report.counts["timing_blocks"]) == (2, 28)
    assert not codes(report, "v12"), "the four that were measured stay trusted"


def test_the_same_kernel_measured_once_is_no_copy(run: Run) -> None:
    """A result stored twice for the same source counts once; its second place still has a verdict."""
    run.put("base", success(40), source="a = 1", round_=0)
    run.put("base", success(40), source="a = 1", round_="baseline")
    report = report_results(run.root)
    assert check_results(run.root) == []
    assert (report.counts["results"], report.counts["stored_twice"]) == (5, 1)
    trust = report.trust("baseline/eval_result.json")
    assert trust is not None
    assert trust.path == "iteration_0/variants/base/eval_result.json"
    assert trust.verdict == "TRUSTED"


def test_a_constant_metric_is_one(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for number in range(3):
        dual = {"mxu0": 300, "mxu1": 300, "total": 600, "dual_ratio": float(number == 1)}
        run.put(f"v{number}", {**success(number, profile={"mxu_utilization": dual}), "compute_ratio": 1.0})
    found = check_results(tmp_path)
    assert {(each.code, each.severity) for each in found} == {("constant_metric", "metric")}
    assert len(found) == 6
    assert all(not each.hard for each in report_results(tmp_path).variants)


def test_one_folder_of_a_round_is_a_run(run: Run) -> None:
    report = report_results(run.root / "iteration_1")
    assert [each.iteration for each in report.variants] == ["iteration_1", "iteration_1"]


def test_rounds_come_in_order_of_number(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for round_ in (10, 0, 2):
        run.put("v", success(round_), round_=round_)
    assert [each.iteration for each in report_results(tmp_path).variants] == [
        "iteration_0",
        "iteration_2",
        "iteration_10",
    ]


def test_the_forks_results_are_read_and_never_trusted(tmp_path: Path) -> None:
    filed = {
        "baseline": {"latency_ms": 13.1, "status": "SUCCESS"},
        "iteration_1": {"wide": {"latency_ms": 12.0, "status": "SUCCESS", "note": "x"}, "null": None},
        "iteration_2": {"deep": {"latency_ms": None, "status": 0}, "best": {"latency_ms": 11.5, "champion": True}},
        "anchors": {"a": 1},
        "conclusions": ["b"],
    }
    (tmp_path / "results.json").write_text(json.dumps(filed))
    report = report_results(tmp_path)
    assert [(each.iteration, each.variant, each.status) for each in report.variants] == [
        ("baseline", "baseline", "OK"),
        ("iteration_1", "wide", "OK"),
        ("iteration_2", "deep", "COMPILE_ERROR"),
        ("iteration_2", "best", "OK"),
    ]
    assert report.counts["trusted"] == 0
    assert codes(report, "wide") == {"no_timing_samples", "missing_fingerprint"}


def test_a_best_kernel_that_is_not_there_is_said(run: Run) -> None:
    lineages = [
        {"id": "L1", "best_kernel": "iteration_9/variants/x/kernel.py", "best_speedup": 9.054},
        3,
        {"id": 2},
    ]
    (run.root / "lineages.json").write_text(json.dumps({"lineages": lineages}))
    report = report_results(run.root)
    (found,) = report.run_findings
    assert (found.code, found.variant, found.severity) == ("evidence_missing", "L1", "note")
    assert report.counts["untrusted"] == 0


@pytest.mark.timeout(20)
def test_pipes_and_devices_are_not_waited_for(run: Run) -> None:
    folder = run.put("bad", success(40))
    (folder / "eval_result.json").unlink()
    for path in (folder / "eval_result.json", folder / "kernel.py", folder / "llo_final.txt"):
        os.mkfifo(path)
    os.mkfifo(run.root / "config.yaml")
    (run.root / "lineages.json").symlink_to("/dev/zero")
    (run.root / "results.json").symlink_to("results.json")
    assert {(each.variant, each.code) for each in check_results(run.root)} == {
        ("bad", "unreadable"),
        ("", "unreadable"),
    }


def test_a_mark_across_two_blocks_is_seen(run: Run) -> None:
    folder = run.put("big", success(41))
    (folder / "llo_final.txt").write_bytes(b"x" * (2**20 - 1) + b";;" + b"x" * 10)
    assert check_results(run.root) == []


def test_no_results_at_all_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "iteration_1").mkdir()
    (tmp_path / "iteration_1" / "selection.md").write_text("## Round 1 Selection\n")
    with pytest.raises(BadInput, match="no results") as raised:
        check_results(tmp_path)
    assert "iteration_*" in str(raised.value.hint)
