"""From a climb's files to rows: nothing is lost, nothing is invented, and a climb may be in any state."""

import json
import os
from pathlib import Path

import msgspec
import pytest

from cairn.cli.report_find import find_source, source_in
from cairn.cli.report_rounds import rounds_run
from cairn.cli.report_rows import climb_run
from cairn.errors import BadInput, Missing
from cairn.registry import load_registry
from cairn.report.ideas import ideas_of
from cairn.report.rows import Run
from cairn.report.summary import summarise
from report.climbs import BASELINE_US, FLOOR_US, START_US, ClimbOnDisk, registry, small


def load(folder: Path) -> Run:
    source = source_in(folder)
    assert source is not None
    return climb_run(source)


def test_every_number_of_the_ledger_is_in_the_rows(tmp_path: Path) -> None:
    climb = small(tmp_path / "night")
    run = load(climb.folder)
    assert (run.state, run.reason, run.kind, run.target_us) == ("ended", "attempts_done", "predicted", FLOOR_US)
    events = [json.loads(line) for line in (climb.folder / "ledger.jsonl").read_text().splitlines()]
    judged = {each["attempt"]: each for each in events if each["event"] == "attempt.judged"}
    assert {each.id: each.us for each in run.attempts if each.verdict} == {
        name: each["predicted_us"] for name, each in judged.items()
    }
    assert {each.id: each.ratio for each in run.attempts if each.verdict} == {
        name: each["ratio"] for name, each in judged.items()
    }
    assert [(anchor.label, anchor.us) for anchor in run.anchors] == [
        ("baseline", BASELINE_US),
        ("start", START_US),
        ("champion", 900.5),
    ]
    assert [each.judge_s for each in run.attempts] == [11.0, 11.0, 11.0, 11.0, None, 11.0]
    first = run.attempts[0]
    assert (first.input_tokens, first.cached_input_tokens, first.output_tokens) == (1200, 1000, 34)
    assert [each.role for each in first.transcript] == ["message", "command"]
    assert first.receipt is not None
    assert first.receipt.shapes[0].metrics["bundles"] == 4824142
    assert run.attempts[5].parent == "a0001", "built on the champion of its time"


def test_a_climb_that_trouble_ended_says_first_what_a_person_has_to_mend(tmp_path: Path) -> None:
    climb = small(tmp_path / "night")
    climb.event(
        "attempt.abandoned", attempt="a0007", reason="exit code 1: 429", failure="rate_limit", counts=False
    )
    climb.event("climb.ended", reason="rate_limit", code=75, detail="a0007: exit code 1: 429")
    run = load(climb.folder)
    assert run.attempts[-1].reason == "rate_limit"
    first = ideas_of(run, summarise(run))[0]
    assert first.startswith(
        "It ended early: the agent's limit lasts longer than the budgets reach (a0007: exit code 1"
    )


def test_the_summary_follows_from_the_rows(tmp_path: Path) -> None:
    summary = summarise(load(small(tmp_path / "night").folder))
    assert summary.claim is not None
    assert summary.claim.times == pytest.approx(BASELINE_US / 900.5)
    assert summary.claim.low == pytest.approx(BASELINE_US / 900.5 / 1.25**2)
    assert not summary.claim.confirmed
    assert summary.of_floor == pytest.approx(FLOOR_US / 900.5)
    assert summary.verdicts == {"KEEP": 2, "DISCARD": 1, "INCONCLUSIVE": 1, "CRASH": 1, "not judged": 1}
    assert {each.reason: each.count for each in summary.failures} == {
        "slower": 1,
        "within_margin": 1,
        "vmem_oom": 1,
        "timeout": 1,
    }
    assert (summary.spent.lost_attempts, summary.spent.lost_s, summary.spent.cost_usd) == (1, 1.0, 0.25)


def test_a_confirmed_number_is_the_one_that_is_quoted(tmp_path: Path) -> None:
    climb = small(tmp_path / "night")
    climb.receipt("champion", "KEEP", "faster", 1000.0, 10_000.0, purpose="confirmation")
    run = load(climb.folder)
    claim = summarise(run).claim
    assert claim is not None
    assert (claim.times, claim.confirmed) == (pytest.approx(10.0), True)
    receipt = climb.receipts[-1]["id"]
    climb.event("climb.confirmed", champion="f" * 40, receipt=receipt)
    stale = summarise(load(climb.folder)).claim
    assert stale is not None
    assert not stale.confirmed, "it was another champion that was confirmed"


def test_measured_costs_keep_their_samples_and_their_word(tmp_path: Path) -> None:
    run = load(small(tmp_path / "device", kind="measured").folder)
    assert run.kind == "measured"
    assert run.least_effect == 0.0211
    assert run.calibration == {
        "threshold": 0.0123,
        "alpha": 0.05,
        "false_keep_bound": 0.0001,
        "least_detectable_effect": 0.0211,
        "spread at B=8 T=4096 H=16": 0.0015,
    }
    first = run.attempts[0]
    assert first.kind == "measured"
    assert first.us == 1559.6922857142854
    assert first.low_us is not None
    assert first.high_us is not None
    assert first.low_us < first.us < first.high_us
    assert first.receipt is not None
    assert [len(process) for process in first.receipt.timings[0].ratios] == [40, 40, 40]


def test_a_climb_in_any_state(tmp_path: Path) -> None:
    climb = ClimbOnDisk(tmp_path / "new")
    assert load(climb.folder).state == "empty"
    climb.start()
    climb.alive()
    assert (load(climb.folder).state, load(climb.folder).phase) == (
        "running",
        "pricing baseline, start and champion",
    )
    climb.measure()
    climb.attempt("DISCARD", "slower", 7000.0)
    climb.event("attempt.planned", attempt="a0002", parent="b" * 40, agent="tuner")
    assert load(climb.folder).phase == "a0002: tuner edits"
    (climb.folder / "owner.json").unlink()
    with (climb.folder / "ledger.jsonl").open("a") as file:
        file.write('{"n": 99, "event": "attempt.ed')
    killed = load(climb.folder)
    assert killed.state == "stopped"
    assert [alert.level for alert in killed.alerts] == ["note", "warning"]
    assert "a0002" in killed.alerts[1].text
    assert ideas_of(killed, summarise(killed))


def test_a_changed_receipt_is_told(tmp_path: Path) -> None:
    climb = small(tmp_path / "night")
    path = climb.folder / "receipts.jsonl"
    path.write_text(path.read_text().replace("1559.69", "159.69"))
    assert any("chain of receipts" in alert.text for alert in load(climb.folder).alerts)


def test_files_that_an_agent_may_have_left(tmp_path: Path) -> None:
    """Pipes, links and folders where a file should be: passed over, not waited for."""
    climb = small(tmp_path / "night")
    folders = [climb.folder / "attempts" / name for name in ("a0001", "a0002", "a0003")]
    secret = tmp_path / "secret.txt"
    secret.write_text("do not show")
    for folder in folders:
        for path in folder.iterdir():
            path.unlink()
    os.mkfifo(folders[0] / "codex-events.jsonl")
    os.mkfifo(folders[0] / "change.patch")
    (folders[1] / "change.patch").symlink_to(secret)
    (folders[1] / "codex-events.jsonl").symlink_to(secret)
    (folders[2] / "change.patch").mkdir()
    run = load(climb.folder)
    assert b"do not show" not in msgspec.json.encode(run)
    assert [each.diff for each in run.attempts[:3]] == ["", "", ""]


def test_runs_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    runs = registry(tmp_path, ["night", "day"])
    known = load_registry(tmp_path)
    assert find_source("night", known).folder == runs / "night"
    assert find_source(str(runs / "day" / "ledger.jsonl"), known).folder == runs / "day"
    os.utime(runs / "night" / "ledger.jsonl", (2e9, 2e9))
    assert find_source(None, known).folder == runs / "night"
    with pytest.raises(Missing, match="no run `nigt`") as caught:
        find_source("nigt", known)
    assert "night" in str(caught.value.hint)
    with pytest.raises(BadInput, match="no run"):
        find_source(str(tmp_path), known)


def test_a_batch_round_is_shown_with_the_word_of_the_gate(tmp_path: Path) -> None:
    folder = tmp_path / "gdn_20260506"
    for name, status, speedup in (("fast", "SUCCESS", 9.5), ("wrong", "INCORRECT", None)):
        path = folder / "iteration_1" / "variants" / name
        path.mkdir(parents=True)
        (path / "eval_result.json").write_text(json.dumps({"status": status, "speedup": speedup, "error": "boom"}))
    history = {"round": 1, "lineages": [{"id": "L1", "history": ["iter-1-fast"], "best_speedup": 9.5}]}
    (folder / "lineages.json").write_text(json.dumps(history))
    source = source_in(folder)
    assert source is not None
    run = rounds_run(source)
    assert [(each.id, each.speedup, each.us, each.kind) for each in run.attempts] == [
        ("1/fast", 9.5, None, "reported"),
        ("1/wrong", None, None, "reported"),
    ]
    assert run.attempts[0].decision == "kept"
    assert "reported by the tool" in run.alerts[0].text
