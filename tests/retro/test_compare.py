"""Ranking, noise, pairs, series, failures and questions on small sources whose answers are known."""

from pathlib import Path
from typing import Any

from retro.evidence_files import SWEEP, project
from retro.golden import retro

TSV = """\
# metric_direction: higher_is_better
iteration\tcommit\tmetric\tstatus\ttime_s\tdescription
0\ta1b2c3d\t80.0\tbaseline\t10\tstart
1\tb2c3d4e\t85.5\tkeep\t20\tlarger batch
2\tc3d4e5f\t84.0\tdiscard\t20\tsmaller batch
3\td4e5f6a\t81.0\tcrash\t20\tno
4\te5f6a7b\t85.0\tdiscard\t20\tagain
"""


def compare(root: Path, *arguments: str) -> Any:
    return retro(root, "compare", "--limit", "50", *arguments)


def test_ranked_by_direction_with_noise_from_seeds(tmp_path: Path) -> None:
    project(tmp_path, {"reports/a.md": SWEEP})
    boards = {board["metric"]: board for board in compare(tmp_path)["leaderboards"]}
    assert [row["run"] for row in boards["val_loss"]["rows"]] == ["base-b", "wide-c", "base-b-seed1", "base-a"]
    assert boards["throughput"]["rows"][0]["run"] == "base-a"
    assert boards["val_loss"]["spread"] == 0.02
    pairs = {
        (pair["from"].split()[0], pair["to"].split()[0]): pair["within_noise"]
        for pair in compare(tmp_path)["controlled_pairs"]
        if pair["metric"] == "val_loss"
    }
    assert pairs[("2.91", "2.84")] is False
    assert pairs[("2.84", "2.85")] is True


def test_unknown_metrics_are_not_ranked_until_somebody_says_how(tmp_path: Path) -> None:
    table = "| Run | lr | Zing |\n|---|---|---|\n| one-1 | 1 | 3.5 |\n| one-2 | 2 | 4.5 |\n"
    project(tmp_path, {"reports/a.md": f"## Results\n\n{table}"})
    (board,) = [each for each in compare(tmp_path)["leaderboards"] if each["metric"] == "zing"]
    assert (board["better"], board["rows"][0]["run"], "place" in board["rows"][0]) == (None, "one-1", False)
    (board,) = [
        each
        for each in compare(tmp_path, "--direction", "zing=higher")["leaderboards"]
        if each["metric"] == "zing"
    ]
    assert (board["rows"][0]["run"], board["rows"][0]["place"]) == ("one-2", 1)


def test_two_changes_are_confounded(tmp_path: Path) -> None:
    table = "| Run | lr | batch | Loss |\n|---|---|---|---|\n| r-1 | 1 | 8 | 3.5 |\n| r-2 | 2 | 16 | 3.0 |\n"
    project(tmp_path, {"reports/a.md": f"## Results\n\n{table}"})
    found = compare(tmp_path)
    assert (found["controlled_total"], found["confounded_total"]) == (0, 1)
    assert {each["parameter"] for each in found["confounded_pairs"][0]["changes"]} == {
        "batch_size",
        "learning_rate",
    }


def test_a_loop_with_its_running_best_plateau_and_cost(tmp_path: Path) -> None:
    project(tmp_path, {"results.tsv": TSV, "reports/a.md": "# x\n"})
    (series,) = compare(tmp_path)["series"]
    assert (series["better"], series["tries"], series["kept"], series["lost"]) == ("higher", 5, 2, 3)
    assert series["running_best"] == [80.0, 85.5, 85.5, 85.5, 85.5]
    assert (series["since_last_kept"], series["plateau"], series["cost_per_kept_s"]) == (3, True, 45.0)


def test_the_same_step_of_series_that_end_elsewhere(tmp_path: Path) -> None:
    rows = [("a", 10, 3.0), ("a", 20, 2.5), ("a", 30, 2.2), ("b", 10, 3.1), ("b", 20, 2.4)]
    text = "\n".join(f'{{"run": "{run}", "step": {step}, "loss": {loss}}}' for run, step, loss in rows)
    project(tmp_path, {"reports/a.jsonl": text})
    (found,) = compare(tmp_path)["same_step"]
    assert (found["step"], [(each["run"], each["raw"]) for each in found["values"]]) == (
        20,
        [("a", "2.5"), ("b", "2.4")],
    )


def test_failures_are_clustered_and_matched_with_the_guide(tmp_path: Path) -> None:
    head = "| Error Pattern | Symptom | Cause | Solution |\n|---|---|---|---|\n"
    guide = head + "| out of memory | OOM | too big | batch 32 |\n"
    again = SWEEP.replace("`wide-d` ran out of memory at batch 64", "`wide-e` ran out of memory at batch 96")
    files = {"reports/a.md": SWEEP, "reports/b.md": again, "troubleshooting.md": guide}
    project(tmp_path, files)
    (failure,) = compare(tmp_path)["failures"]
    assert (failure["seen"], failure["fix"]["solution"]) == (2, "batch 32")


def test_a_question_is_open_until_somebody_answers_it(tmp_path: Path) -> None:
    project(tmp_path, {"reports/a.md": SWEEP})
    assert compare(tmp_path)["questions_open"] == 1
    answer = "# Later\n\n### Key findings\n\n- Answered open question: a smaller learning rate is better still\n"
    (tmp_path / "reports/b.md").write_text(answer)
    found = compare(tmp_path)
    assert (found["questions_open"], found["questions_answered"]) == (0, 1)


def test_what_contradicts_what_stood_before(tmp_path: Path) -> None:
    correction = (
        "\n### Corrections\n\n| Previous Claim | Actual Finding |\n|---|---|\n| lr 1e-3 is best | 3e-4 is |\n"
    )
    later = SWEEP.replace("2026-02-01", "2026-03-01").replace("| 2.84 |", "| 2.95 |") + correction
    skill = '---\nname: a\ndescription: "d"\n---\n\n## When to Apply\n\n- val loss of `base-a`: 1.11\n'
    project(tmp_path, {"reports/a.md": SWEEP, "reports/b.md": later, ".agents/skills/a/SKILL.md": skill})
    kinds = {clash["kind"]: clash for clash in compare(tmp_path)["contradictions"]}
    assert set(kinds) == {"correction", "value", "skill"}
    assert "2.84 on 2026-02-01, 2.95 on 2026-03-01" in kinds["value"]["message"]
    assert kinds["skill"]["old"] == ".agents/skills/a/SKILL.md:8"
