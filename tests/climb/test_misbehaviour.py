"""Agents that do harm, as real programs behind the fence: only their own folder changes, nothing survives."""

import os
import sys
from pathlib import Path

import pytest
from aftermath import faults, picture, project
from climbs import Bench
from misbehaving_agent import ACTS

from cairn.agents.catalogue import AgentOptions, open_agent
from cairn.fence import fence_level
from cairn.process import Limits

AGENT = Path(__file__).parent / "misbehaving_agent.py"
VALID = ("kept", "discarded", "inconclusive", "duplicate", "nothing")
# act -> what may become of it; acts that wait for a limit are left to benchmarks/soak.py
HARM = {
    "reaches_for_the_project": VALID,
    "edits_the_problem": ("rejected",),
    "edits_the_baseline": ("rejected",),
    "variant_is_the_reference": ("rejected",),
    "variant_renamed": ("rejected",),
    "folder_gone": ("rejected", "nothing"),
    "variant_is_huge": ("failed",),
    "commits_then_crashes": ("failed",),
    "kills_itself": ("failed",),
    "only_whitespace": ("duplicate",),
    "edit_as_somebody_else": VALID,
    "repository_is_bare": VALID,
    "repository_is_the_projects": VALID,
    "history_without_end": ("crashed", *VALID),  # its merge leaves marks in the variant
    "edits_after_its_end": VALID,
    "hostile_account": VALID,
    "logs_replaced": VALID,
    "folders_without_bottom": VALID,
    "logs_hold_folders": VALID,
    "paths_too_long_to_name": VALID,
    "config_of_a_huge_number": VALID,
    "number_without_digits": VALID,
    "sum_without_end": VALID,
    "fills_shared_memory": VALID,
    "reaches_for_the_workers_folders": VALID,
    "leaves_with_127": ("failed",),
    "says_nothing": ("nothing",),
    "replaced_objects": VALID,
    "locks_everywhere": VALID,
    "device_nodes_and_pipes": VALID,
    "hard_links_to_the_records": VALID,
    "says_it_was_cancelled": ("failed",),
    "output_is_sparse": ("failed", *VALID),  # unless it is gone before anybody looked
    "variant_is_a_link_to_a_sibling": ("rejected",),
}


@pytest.mark.skipif(
    fence_level() != "fenced", reason="without namespaces such agents would reach this very project"
)
@pytest.mark.timeout(400)
def test_a_climb_with_agents_that_do_harm(tmp_path: Path) -> None:
    assert set(HARM) <= set(ACTS)
    workspace = project(tmp_path)
    plan = tmp_path / "plan.txt"
    plan.write_text("\n".join(HARM))
    choose = f"$(sed -n ${{CAIRN_ATTEMPT#a}}p '{plan}')"
    agent = open_agent("command", AgentOptions(command=f"exec '{sys.executable}' '{AGENT}' {choose}"))
    bench = Bench(workspace, agent=agent, resilient=True, agent_limits=Limits(60, 30, 16 * 2**20))
    before = picture(workspace)

    state = bench.run(attempts=len(HARM))

    became = {act: attempt.decision for act, attempt in zip(HARM, state.attempts.values(), strict=True)}
    assert not {act: end for act, end in became.items() if end not in HARM[act]}
    assert faults(workspace, before, state, bench.folder) == []


@pytest.mark.skipif(fence_level() != "fenced", reason="without namespaces the fence is no place to run things in")
def test_what_an_agent_leaves_at_home_is_run_by_nobody(
    tmp_path: Path, private_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings of git, programs on PATH, files that Python and shells read when they start."""
    workspace = project(tmp_path)
    (private_home / "of-a-test").touch()
    monkeypatch.setenv("PATH", f"{private_home}/bin:{os.environ['PATH']}")
    agent = open_agent("command", AgentOptions(command=f"exec '{sys.executable}' '{AGENT}' settings_of_the_user"))
    bench = Bench(workspace, agent=agent)
    state = bench.run(attempts=1)
    assert [attempt.decision for attempt in state.decided] == ["kept"]
    assert (private_home / "bin" / "git").exists()
    assert list(private_home.glob("ran-outside*")) == []
