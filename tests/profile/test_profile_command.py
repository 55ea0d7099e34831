"""`cairn profile`: a real recording of a real variant, and what every command does with traces."""

import json
from pathlib import Path

import pytest

from cairn.cli.main import main
from profile_traces import as_json, as_xplane, tpu_steps
from workspace import Workspace


def cairn(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command in this process; give exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_a_variant_is_recorded_and_read_back(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The profiler's two files of one recording say the same."""
    where = ("--out", tmp_path / "recordings", "--variant", "xla_axpy", "--check-shape", "--steps", 3, "--json")
    code, out, err = cairn(capsys, "profile", "capture", workspace.problem, *where)
    assert code == 0, err
    told = json.loads(out)
    folder = Path(told["folder"])
    assert {path.name for path in folder.iterdir()} == {*told["files"], "recording.json"}
    records = []
    for suffix in (".xplane.pb", ".trace.json.gz"):
        (file,) = folder.glob(f"*{suffix}")
        code, out, err = cairn(capsys, "profile", "summarize", file, "--json")
        assert code == 0, err
        records.append(json.loads(out))
    assert [each["steps"] for each in records] == [3, 3]
    assert [each["device"] for each in records] == ["/host:CPU"] * 2
    assert records[0]["busy_us"] == pytest.approx(records[1]["busy_us"], rel=0.01)
    assert records[0]["busy_us"] > 0
    code, out, _ = cairn(capsys, "profile", "compare", *(folder.glob("*.json.gz")), *(folder.glob("*.pb")))
    assert code == 1
    assert "NOT COMPARABLE: both sides hold the same events" in out


def test_a_chip_that_is_not_here_is_no_place_to_record(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = cairn(capsys, "profile", "capture", workspace.problem, "--target", "tpu-v5p")
    assert code == 2
    assert "tpu-v5p:device" in err


def test_a_summary_on_disk_gives_the_budgets_of_its_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, summary = as_xplane(tmp_path / "a.xplane.pb", tpu_steps(4)), tmp_path / "deep" / "summary.json"
    assert cairn(capsys, "profile", "summarize", trace, "--output", summary, "--top", 1)[0] == 0
    budgets = []
    for path in (trace, summary):
        code, out, _ = cairn(capsys, "profile", "attribute", path, "--upper-bound-step-ms", 0.06, "--json")
        assert code == 0
        budgets.append(json.loads(out)["summary"])
    assert budgets[0]["budgets_ms"] == pytest.approx(budgets[1]["budgets_ms"])
    assert budgets[0]["budgets_ms"]["kernel"] == pytest.approx(0.04)
    assert budgets[0]["budgets_ms"]["unexplained"] == pytest.approx(0.015)
    assert budgets[0]["gap"]["gap_ms"] == pytest.approx(0.115 - 0.06)


def test_attribution_beside_a_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = as_json(tmp_path / "before.trace.json.gz", tpu_steps(4))
    after = as_json(tmp_path / "after.trace.json.gz", tpu_steps(4, kernel_us=20, period_us=100))
    code, out, _ = cairn(capsys, "profile", "attribute", after, "--baseline", before, "--json")
    assert code == 0
    assert json.loads(out)["comparison"]["budgets_ms"]["kernel"] == pytest.approx(-0.02)
    code, out, _ = cairn(capsys, "profile", "attribute", after, "--baseline", before)
    assert "unexplained" in out


def test_a_brief_is_one_screen_and_says_the_same_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = as_json(tmp_path / "a.trace.json.gz", tpu_steps(4, kernel_us=90, period_us=160))
    first = cairn(capsys, "profile", "summarize", trace, "--brief", "--floor-us", 50)
    assert first == cairn(capsys, "profile", "summarize", trace, "--brief", "--floor-us", 50)
    lines = first[1].splitlines()
    assert lines[0].startswith("## Profile: kernel leads")
    assert len(lines) <= 24
    assert any("cairn lab explain" in line for line in lines)
    assert any(line.startswith("- floor: 50.0 us; the step takes 3.") for line in lines)


def test_gdnctl_compares_two_xplane_files_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = as_xplane(tmp_path / "before.xplane.pb", tpu_steps(4))
    after = as_xplane(tmp_path / "after.xplane.pb", tpu_steps(4, kernel_us=20, period_us=100))
    sides = ("--before-xplane", before, "--after-xplane", after, "--tpu-name", "nobody")
    code, out, err = cairn(capsys, "gdnctl", "xprof-compare", *sides, "--output", tmp_path / "xprof.json")
    assert code == 0, err
    assert json.loads(out)["deltas"][0] == {"name": "gdn_fwd.4", "delta_ms": pytest.approx(-0.02)}
    assert json.loads((tmp_path / "xprof.json").read_text()) == json.loads(out)
