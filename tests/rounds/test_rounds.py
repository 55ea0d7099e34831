"""Reading a run as it lies there, the facts of a round, the lineages, and the pages."""

import json
from pathlib import Path

import pytest

from cairn.cli.round_facts import facts_of, verdicts
from cairn.errors import BadInput
from cairn.rounds.comment import marker_of, render, with_markers
from cairn.rounds.digest import Digest
from cairn.rounds.lineages import Limits, lineage_of, seen, select
from cairn.rounds.reading import read_run
from cairn.rounds.tables import batch_analysis, selection_page
from rounds.runs import MOSAIC, failure, make_run, success, write_round


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path)


def facts(run: Path, agent_md: str = "") -> Digest:
    path = run.parent / "AGENT.md"
    path.write_text(agent_md)
    return facts_of(run, 2, path)


def test_a_round_is_read_with_directions_and_faults(run: Path) -> None:
    this = read_run(run).round(None)
    assert this.number == 2
    assert {each.name: each.status for each in this.variants} == {
        "L1_fused": "SUCCESS",
        "L1_slow": "SUCCESS",
        "late": "MISSING",
        "narrow": "INCORRECT",
        "wide": "INCORRECT",
    }
    fused = next(each for each in this.variants if each.name == "L1_fused")
    assert (fused.intent.direction, fused.intent.motive) == ("one kernel | for `both` passes", "two launches")
    assert fused.made_with == {"chip": "TPU v5p", "jax": "0.10.2", "libtpu": "0.0.51"}
    assert len(fused.hash) == 12
    assert read_run(run).round(1).variants[0].intent.direction == ""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ('{"status": 2, "speedup": 1.5}', "SUCCESS"),
        ('{"status": "Status.COMPILE_ERROR"}', "COMPILE_ERROR"),
        ('{"status": "SUCCESS", "speedup": NaN}', "SUCCESS"),
        ("[1]", "MISSING"),
        ("{", "MISSING"),
        ("[" * 100_000, "MISSING"),
        ('{"speedup": 2}', "MISSING"),
    ],
)
def test_odd_results_are_tolerated(tmp_path: Path, data: str, status: str) -> None:
    write_round(tmp_path, 0, {"a": None})
    (tmp_path / "iteration_0/variants/a/eval_result.json").write_text(data)
    (variant,) = read_run(tmp_path).round(0).variants
    assert variant.status == status
    assert variant.speedup == (1.5 if "1.5" in data else None)


def test_a_run_with_one_file_for_all_rounds(tmp_path: Path) -> None:
    rows = {"baseline": {}, "iteration_3": {"a": {"latency_ms": 2.0, "status": "SUCCESS", "note": "why"}}}
    (tmp_path / "results.json").write_text(json.dumps(rows))
    (variant,) = read_run(tmp_path).round(3).variants
    assert (variant.name, variant.intent.motive, variant.latency_ms) == ("a", "why", 2.0)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a folder"):
        read_run(tmp_path / "x")
    with pytest.raises(BadInput, match="no rounds"):
        read_run(tmp_path).round(None)
    (tmp_path / "lineages.json").write_text("{")
    assert read_run(tmp_path).faults[0].startswith("lineages.json: unreadable")


def test_the_facts_of_a_round(run: Path) -> None:
    known = "### [F004] Mixed types\n- **Symptom**: Mosaic failed to compile TPU kernel: Bad lhs type\n"
    digest = facts(run, known)
    assert (digest.kernel, digest.best_before) == ("gdn", 1.2)
    rows = {fact.variant.name: fact for fact in digest.facts}
    assert rows["L1_fused"].suggestion.kind == "success"
    assert rows["L1_fused"].trust.level == "trusted"
    assert rows["L1_fused"].gain == pytest.approx(1.25)
    assert rows["L1_slow"].suggestion.kind == "skip"
    assert rows["narrow"].alike == ("wide",)
    assert (rows["narrow"].suggestion.kind, rows["narrow"].suggestion.id) == ("extend", "F004")
    assert rows["narrow"].trust.status == "COMPILE_ERROR"
    assert (rows["late"].suggestion.kind, rows["late"].suggestion.why) == ("skip", "no result: not there")
    assert {fact.lineage for name, fact in rows.items() if name.startswith("L1")} == {"L1"}


def test_retired_and_archived_entries_are_shown_but_not_to_be_extended(run: Path) -> None:
    known = "### [F004] Mixed types\n- **Symptom**: Mosaic failed to compile TPU kernel: Bad lhs type\n"
    digest = facts(run, known + "- **Status**: retracted, 2026-01-01: r\n")
    (row,) = [fact for fact in digest.facts if fact.variant.name == "narrow"]
    assert (row.candidates[0].entry.id, row.suggestion.kind) == ("F004", "failure")
    (run.parent / "AGENT.archive.md").write_text(known)
    (row,) = [fact for fact in facts(run).facts if fact.variant.name == "narrow"]
    assert (row.candidates[0].entry.id, row.suggestion.kind) == ("F004", "failure")


def test_untrusted_results_teach_nothing_and_are_not_selected(run: Path) -> None:
    copied = success(9.0, 5)
    write_round(run, 3, {"copy": {**success(1.5, 5)}, "other": copied})
    for name in ("copy", "other"):
        path = run / f"iteration_3/variants/{name}/eval_result.json"
        data = json.loads(path.read_text())
        data["metadata"]["benchmark"]["evaluation_times_ms"] = [1.1, 1.2, 1.1, 1.15, 1.12]
        path.write_text(json.dumps(data))
    trusted = verdicts(read_run(run))
    digest = facts_of(run, 3, run.parent / "AGENT.md")
    assert "| other | SUCCESS | 9.000x (untrusted) |" in render(digest, [], {}, {})[0]
    assert {fact.suggestion.why.partition(":")[0] for fact in digest.facts} == {"UNTRUSTED"}
    chosen = select(digest.run.lineages, digest.round, trusted, Limits())
    assert chosen.selected == ()
    assert {why.partition(":")[0] for _, why in chosen.rejected} == {"UNTRUSTED"}


def test_lineages_keep_foreign_keys_and_a_round_is_applied_once(run: Path) -> None:
    read = read_run(run)
    chosen = select(read.lineages, read.round(2), verdicts(read), Limits())
    (row,) = chosen.lineages["lineages"]
    assert (row["best_speedup"], row["stagnant_rounds"], row["rounds_active"]) == (1.5, 0, 1)
    assert row["history"] == ["iter-1-first", "iter-2-L1_fused"]
    assert (chosen.lineages["note"], chosen.lineages["schema"], chosen.lineages["round"]) == ("kept", 1, 2)
    reasons = {each["id"]: each["reason"] for each in chosen.lineages["pruned"]}
    assert reasons["R2_L1_slow"] == "slower than L1_fused of the same lineage"
    assert reasons["R2_narrow"] == "COMPILE_ERROR"
    assert seen(chosen.lineages) == 2
    assert read.lineages["round"] == 1, "the old one is not changed in place"


def test_the_first_round_begins_lineages_and_the_stagnant_are_pruned(tmp_path: Path) -> None:
    write_round(tmp_path, 1, {"a": success(1.3, 3), "b": success(1.1, 5), "c": success(0.9, 11)})
    read = read_run(tmp_path)
    first = select({}, read.round(1), verdicts(read), Limits(top_k=2))
    assert [row["id"] for row in first.lineages["lineages"]] == ["L1", "L2"]
    assert [variant.name for variant, _ in first.rejected] == ["c"]
    second = select(first.lineages, read.round(1), {}, Limits(top_k=2, max_active=1))
    assert second.pruned == ("L2",)
    assert lineage_of("L1_x", first.lineages) == "L1"
    assert lineage_of("a", first.lineages) == "L1"
    assert lineage_of("z", first.lineages) is None
    assert seen({"lineages": [], "pruned": [], "round": 0}) == -1


def test_the_pages_have_the_headings_that_readers_expect(run: Path) -> None:
    read = read_run(run)
    trusted = verdicts(read)
    page = batch_analysis(read, read.round(2), trusted)
    for heading in ("## Round 2 Batch Analysis", "### Comparative Ranking", "### Failed Variants Summary"):
        assert f"\n{heading}\n" in page
    assert "| 1 | L1_fused | SUCCESS | 1.500x | 6.667 | trusted | one kernel \\| for \\`both\\` passes |" in page
    assert "- **L1**: round 1 1.200x, round 2 1.500x" in page
    page = selection_page(read.round(2), select(read.lineages, read.round(2), trusted, Limits()))
    for heading in ("### Selected (Top-2)", "### Not Selected", "### Lineage Updates", "### Lineages.json Status"):
        assert f"\n{heading}\n" in page


def test_the_comment_has_the_table_of_the_seed(run: Path) -> None:
    digest = facts(run)
    body, taken = render(digest, ["[F001]", "[F004] (extended)"], {"narrow": "a|b `c` @d"}, digest.run.lineages)
    lines = body.splitlines()
    assert lines[0] == "### Round 2 Summary"
    assert lines[2] == "| Variant | Status | Speedup | Direction | Notable |"
    assert "| narrow | INCORRECT | -- | blocks of 64 lanes | a\\|b \\`c\\` @\u200bd |" in lines
    assert "**Active Lineages:** L1 (1.200x, first)" in lines
    assert "**Pruned this round:** none" in lines
    assert "**New learnings:** [F001], [F004] (extended)" in lines
    assert "/home/somebody" not in body
    assert render(digest, [], {}, digest.run.lineages) == render(digest, [], {}, digest.run.lineages)
    assert taken == []


def test_long_comments_are_cut_into_parts_that_stand_alone(tmp_path: Path) -> None:
    write_round(tmp_path, 1, {f"variant_{n:03}": failure(MOSAIC.format(n=n)) for n in range(300)})
    digest = facts_of(tmp_path, 1, tmp_path / "AGENT.md")
    body, _ = render(digest, [], {}, {})
    parts = with_markers(body, "x", 1, limit=20_000)
    assert len(parts) > 3
    assert all(len(part) <= 20_000 for part in parts)
    assert len({marker_of(part) for part in parts}) == len(parts)
    assert all(part.count("<details>") == part.count("</details>") for part in parts)
    text = "".join(parts)
    assert all(f"| variant_{n:03} |" in text for n in range(300))
    assert all("|---" in part for part in parts)
    assert with_markers("short\n", "x", 1) == ["short\n\n<!-- cairn:round run=x round=1 -->\n"]
    assert marker_of("no marker") is None
