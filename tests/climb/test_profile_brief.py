"""The part of the prompt that says where the champion spends its time: from real receipts, and a real recording."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from climbs import Bench
from fakes import BASELINE_US, FakeJudge, block
from jax import export

from cairn.cli.main import main
from cairn.climb.memory import digest
from cairn.climb.profile import brief_lines
from cairn.climb.recordings import newest_recording
from cairn.climb.state import State
from cairn.judge import tracing
from cairn.judge.case import Case
from workspace import Workspace

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "case-studies"
PROFILE_ROOM = 1300  # the section with its title


def receipts(name: str) -> list[dict[str, Any]]:
    lines = (STUDIES / f"{name}.receipts.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("name", ["gdn", "matmul", "matmul-transposed"])
def test_a_real_receipt_becomes_bottleneck_evidence_floor_and_what_not_to_try(name: str) -> None:
    kept = [receipt for receipt in receipts(name) if receipt["verdict"] == "KEEP"]
    assert kept
    for receipt in kept:
        row = receipt["cost"]["shapes"][0]
        lines = brief_lines(receipt["cost"])
        causes = row["compiler"]["breakdown_us"]
        text = "\n".join(lines)
        assert f"{row['predicted_us']:,.1f} us" in lines[0]
        assert f"floor {row['floors']['target_us']:,.1f} us" in lines[0]
        largest = max((cause for cause in causes if cause in WORDS), key=lambda cause: causes[cause])
        assert f"- bottleneck: {WORDS[largest]}" in text
        assert "MiB of memory traffic" in text
        shown = digest(State(), [], text)
        assert len(shown.encode()) <= PROFILE_ROOM
        assert "bottleneck" in shown
        assert ("do not try" in shown) == ("do not try" in text)


WORDS = {
    "issue": "issuing bundles",
    "mxu_stall": "waiting for matrix results",
    "unit_stall": "waiting for other units",
    "dma_wait": "waiting for copies",
    "neighbours": "XLA round the kernels",
}


def test_what_is_small_is_what_not_to_try() -> None:
    compiler = {
        "breakdown_us": {"issue": 90.0, "mxu_stall": 0.0, "unit_stall": 0.0, "dma_wait": 9.0, "neighbours": 1.0},
        "memory_bytes": {"argument_size_in_bytes": 2**20, "output_size_in_bytes": 2**20},
        **{"hbm_bytes": 8 * 2**20, "spills": 7, "fills": 9, "kernels": {"a`b\n": {"unit_use": {"VALU": 0.5}}}},
    }
    row = {"shape": {"n": 8}, "predicted_us": 100.0, "floors": {"target_us": 25.0}, "compiler": compiler}
    text = "\n".join(brief_lines({"kind": "predicted", "shapes": [row]}))
    assert "- bottleneck: issuing bundles 90%, waiting for copies 9%, XLA round the kernels 1%" in text
    assert "do not try: fusing XLA's work round the kernel (1.0% of the time); reordering products" in text
    assert "prefetching" not in text, "nine percent are worth a try"
    assert "by blocking" not in text, "four times the least is moved"
    assert "7 spills, 9 fills" in text
    assert "kernel `ab`" in text, "a name cannot leave its quotes"


def test_a_recording_of_the_judge_becomes_the_brief_of_a_measured_champion() -> None:
    x = np.ones((256, 256), np.float32)
    spec = jax.ShapeDtypeStruct(x.shape, x.dtype)
    program = bytes(export.export(jax.jit(lambda a: jnp.tanh(a @ a) @ a), platforms=["cpu"])(spec).serialize())
    inputs = ([{"shape": [256, 256], "dtype": "float32"}], [x.tobytes()])
    trace = tracing.check(Path(sys.executable), "cpu", [program, program], inputs, (1e6, 1e6))
    assert trace["agrees"], trace
    json.dumps(trace)
    timings = [{"shape": {"n": 256}, "candidate_us": 123.456, "device_trace": trace}]
    lines = brief_lines({"kind": "measured", "timings": timings}, trace["profile"])
    assert lines[0] == "- n=256: measured 123.46 us"
    hot = trace["profile"]["hot"][0]
    assert any(hot["name"][:40] in line for line in lines)
    assert any(line.startswith("- bottleneck, from the device's trace (a recorded call took ") for line in lines)
    assert len("\n".join(lines).encode()) <= PROFILE_ROOM
    assert brief_lines({"kind": "measured", "timings": timings}) == lines[:1]


def test_a_recording_that_a_person_made_is_found_by_its_text(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A real capture on the CPU; another text, another target or a torn file is not the champion's."""
    words = [
        "profile",
        "capture",
        str(workspace.problem),
        "--variant",
        "xla_axpy",
        "--check-shape",
        "--steps",
        "2",
    ]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--out", str(workspace.root / ".profiles"), "--json"])
    assert not stop.value.code
    told = json.loads(capsys.readouterr().out)
    found = newest_recording(workspace.root, told["digest"], "cpu:device")
    assert found is not None
    assert found["steps"] == 2
    assert found["hot"]
    assert newest_recording(workspace.root, told["digest"], "gpu:device") is None
    assert newest_recording(workspace.root, "0" * 64, "cpu:device") is None
    torn = workspace.root / ".profiles" / "zz-torn"
    torn.mkdir()
    (torn / "recording.json").write_text('{"digest": ')
    assert newest_recording(workspace.root, told["digest"], "cpu:device") == found
    (torn / "recording.json").write_text(json.dumps(told))
    (torn / "host.trace.json.gz").write_bytes(b"no trace")
    assert newest_recording(workspace.root, told["digest"], "cpu:device") is None, "the newest one cannot be read"


class JudgeWithCompiler(FakeJudge):
    """Prices as the fake does, and knows what the compiler would have said."""

    def judge(self, *arguments: Any, **options: Any) -> Case:
        case = super().judge(*arguments, **options)
        causes = {"issue": 1.0, "mxu_stall": 0.0, "unit_stall": 0.0, "dma_wait": BASELINE_US, "neighbours": 0.0}
        case.prices = [dataclasses.replace(price, record={"breakdown_us": causes}) for price in case.prices]
        return case


@pytest.mark.parametrize("wanted", [True, False])
def test_the_next_prompt_says_where_the_new_champion_spends_its_time(workspace: Workspace, wanted: bool) -> None:
    bench = Bench(workspace, block(16), block(32), profile_brief=wanted)
    bench.open_judge = lambda problem: JudgeWithCompiler(problem, bench.asked, bench.jax)
    bench.run()
    first, second = ((bench.folder / "attempts" / name / "prompt.md").read_text() for name in ("a0001", "a0002"))
    assert ("- the start, receipt r-" in first) is wanted
    assert ("- a0001, receipt r-" in second) is wanted
    assert ("bottleneck: waiting for copies" in second) is wanted
