"""The user's own commands on a candidate: they decide last, and reach no further than the agents."""

import pytest
from climbs import Bench
from fakes import block

from cairn.climb.spec import PostChecks
from cairn.fence import fence_level
from workspace import Workspace


def test_post_checks_decide_last(workspace: Workspace) -> None:
    checks = PostChecks(("grep -q 'block: int = 32' kernels/axpy/variants/pallas_axpy.py",), retries=3)
    bench = Bench(workspace, block(16), block(32), checks=checks)
    state = bench.run()
    assert bench.decisions() == ["check_failed", "kept"]
    assert state.attempts["a0001"].checks[0]["tries"] == 2  # the same words twice are settled
    assert state.totals.failures == 1
    assert len(bench.commits()) == 1
    bench.assert_clean()


def test_a_check_that_holds_only_when_repeated_is_told_from_one_that_holds(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    flag = tmp_path_factory.mktemp("outside") / "tried"
    checks = PostChecks((f"test -e {flag} || {{ touch {flag}; echo not yet; exit 1; }}", "true"), retries=2)
    bench = Bench(workspace, block(32), checks=checks)
    state = bench.run()
    assert [check["tries"] for check in state.attempts["a0001"].checks] == [2, 1]
    log = (bench.folder / "log.md").read_text()
    assert "passed, only at try 2: test -e" in log
    assert "passed: true" in log


@pytest.mark.skipif(fence_level() != "fenced", reason="this kernel gives no namespaces")
def test_a_post_check_writes_into_its_checkout_and_not_into_the_project(workspace: Workspace) -> None:
    top = workspace.root.resolve()
    checks = PostChecks((f"touch beside && ! touch {top}/planted",))
    bench = Bench(workspace, block(32), checks=checks)
    bench.run()
    assert bench.decisions() == ["kept"]
    assert not (top / "planted").exists()
    bench.assert_clean()
