"""A climb over several bench shapes: what is quoted is the first, what decides is all of them, and both are told."""

from typing import Any

import pytest
from climbs import Bench
from fakes import FakeJudge, block, price

from cairn.cli.climb_explain import _text
from cairn.cli.progress import climb_view, tell
from cairn.cli.tables import climb_table
from cairn.climb.climb_log import entry
from cairn.climb.ends import share_of_floor
from cairn.climb.log_lint import ALL, LintOptions, lint_log
from cairn.climb.spec import Batch
from cairn.judge.verdict import rule_on_cost
from cairn.variant_text import config_defaults
from workspace import Workspace

# by block: the cost at each of two shapes; 16 is cheaper at the first and loses, 32 is dearer there and wins
COSTS_US = {8: (100.0, 100.0), 16: (80.0, 200.0), 32: (110.0, 60.0), 64: (105.0, 50.0)}


class TwoShapes(FakeJudge):
    """Prices a variant at two shapes."""

    def judge(self, variant: Any, incumbent: Any = None, margin: float | None = None, **named: Any) -> Any:
        case = super().judge(variant, incumbent, margin, **named)
        mine = COSTS_US[config_defaults(variant.text.decode())["block"]]
        theirs = COSTS_US[config_defaults(incumbent.text.decode())["block"]] if incumbent else (70.0, 70.0)
        case.prices, case.incumbent_prices = [price(us) for us in mine], [price(us) for us in theirs]
        case.floors *= 2
        case.ruling, case.ratio = rule_on_cost(mine, theirs, margin or 0.05)
        return case


@pytest.fixture
def two_shapes(workspace: Workspace) -> Workspace:
    path = workspace.problem / "problem.yaml"
    text = path.read_text()
    bench = next(line for line in text.splitlines() if line.strip().startswith("bench:"))
    path.write_text(text.replace(bench, bench.replace("]", ", {rows: 2048}]")))
    workspace.git("commit", "-qm", "two shapes", "--", "kernels")
    return workspace


def bench_of(workspace: Workspace, *acts: Any, **changes: Any) -> Bench:
    bench = Bench(workspace, *acts, **changes)
    bench.open_judge = lambda problem: TwoShapes(problem, bench.asked)
    return bench


def test_what_is_told_agrees_with_the_decision(two_shapes: Workspace) -> None:
    bench, told = bench_of(two_shapes, block(16), block(32), block(64)), list[str]()
    state = bench.run(on_event=lambda event: tell(event, told.append))
    assert bench.decisions() == ["discarded", "kept", "kept"]
    slower, faster = state.decided[:2]
    assert (slower.cost_us, slower.reason) == (80.0, "slower")
    over_all = "1.265 over 2 shapes (0.800, 2.000)"
    log = (bench.folder / "log.md").read_text()
    view = climb_view(state, bench.folder / "ledger.jsonl", "cairn/night")
    table = climb_table(view)
    assert f"a0001: DISCARD (slower), 80.0 us predicted, {over_all} of its incumbent" in "\n".join(told)
    assert f"80.0 us, {over_all}" in bench.agent.seen[1].prompt
    assert "Judged at rows=2048 as well" in bench.agent.seen[1].prompt
    assert "1.2649 over 2 shapes (0.8000, 2.0000) of the incumbent's" in log
    assert f"cost: 80.0 us predicted, {over_all} of its incumbent" in _text(slower, _data(slower))
    assert "ratio, all shapes" in table
    assert "1.265" in table
    assert "0.812" in table
    assert "Over all shapes 0.812." in two_shapes.git("log", "-1", "--format=%B", str(faster.commit))
    assert lint_log(bench.folder / "log.md", state, LintOptions(ALL)) == []
    assert "1.2649" in entry(slower)
    assert share_of_floor(state) > 0


def _data(attempt: Any) -> dict[str, Any]:
    means = {"reason_means": "", "failure_means": "", "failure_rule": "", "decision_means": ""}
    return {"climb": "night", "files": [], **vars(attempt), **means}


def test_attempts_are_ranked_by_all_shapes(two_shapes: Workspace) -> None:
    """Agents and the tuner see the cost that decides, and in a round the best of all shapes is tried first."""
    bench = bench_of(two_shapes, block(16), block(32), block(64))
    bench.run()
    history = bench.agent.seen[2].history
    assert [round(trial.cost_us or 0) for trial in history] == [100, 126, 81]
    state = bench.state()
    assert state.champion_us == 105.0
    assert state.champion_ranked_us == pytest.approx((105.0 * 50.0) ** 0.5)


def test_the_best_of_a_round_is_the_best_over_all_shapes(two_shapes: Workspace) -> None:
    sizes = iter((16, 32, 64))
    bench = bench_of(two_shapes, *[lambda task: block(next(sizes))(task)] * 3, batch=Batch(3, 1, 1))
    bench.run(attempts=3)
    state = bench.state()
    kept = [attempt for attempt in state.decided if attempt.commit]
    assert [attempt.cost_us for attempt in kept] == [105.0]
    best = state.lineages["lineages"][0]
    assert best["attempt"] == kept[0].id
    assert best["best_speedup"] == pytest.approx(70.0 / (105.0 * 50.0) ** 0.5, rel=1e-3)
