"""Trace files: both formats, several devices, and files that are no traces."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from cairn.errors import BadInput, Missing
from cairn.profile import trace_json
from cairn.profile.locate import find_trace, read_trace
from cairn.profile.summary import TraceSummary, record, summarize
from profile_traces import Op, Planes, as_json, as_xplane, tpu_steps


def summary_of(path: Path, steps: int | None = None, module: str | None = None) -> TraceSummary:
    return summarize(read_trace(path), steps, module)


@pytest.mark.parametrize(("store", "name"), [(as_json, "a.trace.json.gz"), (as_xplane, "a.xplane.pb")])
def test_a_step_is_split_into_its_kinds(tmp_path: Path, store: Callable[[Path, Planes], Path], name: str) -> None:
    found = record(summary_of(store(tmp_path / name, tpu_steps(4))))
    assert (found["steps"], found["steps_source"]) == (4, "executions of jit_step")
    assert found["step_duration_ms"] == pytest.approx((3 * 120 + 100) / 4 / 1e3)
    assert found["step_median_us"] == pytest.approx(120)
    # the loop's own 10 us are not those of its body; nothing is counted twice
    assert found["kinds_us"] == pytest.approx({"matmul": 40, "kernel": 40, "copy": 10, "while": 10})
    assert found["busy_us"] == pytest.approx(100)
    assert found["idle_us"] == pytest.approx(115 - 100)
    assert found["overlap_us"] == pytest.approx(0, abs=1e-6)
    assert found["events_per_step"] == 5
    assert found["hot_ops"][0] | {"count": 8, "step_count": 2.0, "kind": "matmul"} == found["hot_ops"][0]
    assert found["kernel_share"] == pytest.approx(40 / 115)
    assert found["warnings"] == []


def test_what_belongs_to_no_whole_step_is_left_out_and_said(tmp_path: Path) -> None:
    planes = tpu_steps(3)
    lines = dict(planes["/device:TPU:0"])
    lines["XLA Ops"] = [Op("gdn_fwd.4", 900, 40, {"hlo_category": "custom-call"}), *lines["XLA Ops"]]
    found = record(summary_of(as_json(tmp_path / "a.trace.json.gz", {"/device:TPU:0": lines})))
    assert found["kinds_us"]["kernel"] == pytest.approx(40)
    assert found["warnings"] == ["1 operations lie outside the 3 whole steps and are not counted"]


def test_the_divisor_is_stated_never_inferred(tmp_path: Path) -> None:
    ops = [Op("fusion.1", 10.0 * at, 5, {"hlo_category": "loop fusion"}) for at in range(6)]
    bare = as_json(tmp_path / "a.trace.json.gz", {"/device:TPU:0": {"XLA Ops": ops}})
    with pytest.raises(BadInput, match="does not say how many steps") as error:
        summary_of(bare)
    assert "--steps" in str(error.value.hint)
    assert record(summary_of(bare, 3))["steps_source"] == "--steps"
    with pytest.raises(BadInput, match="no execution of module jit_other; there are: jit_step"):
        summary_of(as_json(tmp_path / "b.trace.json.gz", tpu_steps(2)), module="jit_other")


def test_host_steps_annotate_a_device_that_has_none(tmp_path: Path) -> None:
    ops = [Op("fusion.1", 100.0 * at + 50, 30, {"hlo_category": "loop fusion"}) for at in range(4)]
    steps = [Op("train", 100.0 * at, 90, {"step_num": str(at)}) for at in range(4)]
    planes = {"/host:CPU": {"python": steps}, "/device:TPU:0": {"XLA Ops": ops}}
    found = record(summary_of(as_xplane(tmp_path / "a.xplane.pb", planes)))
    assert (found["steps"], found["steps_source"]) == (4, "annotated steps")
    assert found["busy_us"] == pytest.approx(30)


def test_streams_of_a_gpu_are_its_queues_and_may_overlap(tmp_path: Path) -> None:
    """The derived line of operations covers waiting, so the streams count."""
    steps = range(3)
    planes = {
        "/device:GPU:0": {
            "Stream #13(Compute)": [Op("gemm_fusion", 100.0 * at, 60) for at in steps],
            "Stream #14(MemcpyH2D)": [Op("MemcpyH2D", 100.0 * at + 40, 40) for at in steps],
            "XLA Ops": [Op("gemm_fusion", 100.0 * at, 100) for at in steps],
            "XLA Modules": [Op("jit_f(1)", 100.0 * at, 80) for at in steps],
        }
    }
    found = record(summary_of(as_json(tmp_path / "a.trace.json.gz", planes)))
    assert found["kinds_us"] == pytest.approx({"matmul": 60, "infeed": 40})
    assert (found["busy_us"], found["overlap_us"]) == (pytest.approx(80), pytest.approx(20))


def test_the_busiest_device_speaks_and_uneven_ones_are_named(tmp_path: Path) -> None:
    second = {"/device:TPU:1": tpu_steps(2, kernel_us=10)["/device:TPU:0"]}
    found = record(summary_of(as_json(tmp_path / "a.trace.json.gz", {**tpu_steps(2), **second})))
    assert found["device"] == "/device:TPU:0"
    assert len(found["devices"]) == 2
    assert any("unevenly busy" in warning for warning in found["warnings"])


def test_a_json_trace_that_was_cut_at_its_limit_is_doubted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_json, "_MOST_EXPORTED", 12)
    found = record(summary_of(as_json(tmp_path / "a.trace.json.gz", tpu_steps(2))))
    assert any("the end is missing" in warning for warning in found["warnings"])


BROKEN = {
    "cut.trace.json.gz": (gzip.compress(b'{"traceEvents": []}')[:-6], "damaged or cut off"),
    "text.trace.json": (b"hello", "not a trace"),
    "other.json": (b'{"a": 1}', "not a trace"),
    "none.trace.json": (b'{"traceEvents": []}', "no complete events"),
    "types.trace.json": (b'{"traceEvents": [{"ph": 7}]}', "not a trace"),
    "deep.trace.json": (b'{"traceEvents": ' + b"[" * 100_000, "not a trace"),
    "junk.xplane.pb": (b"\xff" * 100, "not an XSpace"),
    "empty.xplane.pb": (b"", "an empty file"),
    "host.trace.json": (b'[{"ph": "X", "name": "f", "pid": 1, "tid": 1, "ts": 1, "dur": 2},', "no device ran"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_trace_is_named(tmp_path: Path, name: str) -> None:
    content, words = BROKEN[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words) as error:
        summary_of(path)
    assert name in str(error.value)


def test_below_a_folder_the_newest_recording_is_meant(tmp_path: Path) -> None:
    old = as_xplane(tmp_path / "plugins" / "profile" / "2026_01_01" / "h.xplane.pb", tpu_steps(2))
    new = as_xplane(tmp_path / "plugins" / "profile" / "2026_01_02" / "h.xplane.pb", tpu_steps(3))
    as_json(new.with_name("h.trace.json.gz"), tpu_steps(3))
    assert find_trace(tmp_path) == new
    assert find_trace(old.parent) == old
    as_xplane(new.with_name("i.xplane.pb"), tpu_steps(3))
    with pytest.raises(BadInput, match=r"2 hosts in one recording: h\.xplane\.pb, i\.xplane\.pb"):
        find_trace(tmp_path)
    with pytest.raises(Missing):
        find_trace(tmp_path / "nowhere")
