"""Where the cycles went: every one of a run belongs to a bundle, a unit and a cause."""

from collections import Counter

import pytest

from cairn.lab import chip
from cairn.lab.attribution import CORE, DRAIN, FILL, ISSUE, Attribution
from cairn.lab.observe import DMA, RESULT
from cairn.lab.simulate import Simulator


def attributed(golden, name: str) -> tuple[Attribution, Counter[str]]:
    attribution = Attribution()
    simulator = Simulator(golden(name), chip.load(name.partition(".")[2]))
    run = simulator.run(observer=attribution)
    assert run == simulator.run()  # watching changes nothing
    assert sum(attribution.cycles.values()) == run.cycles
    by_cause: Counter[str] = Counter()
    for (_, _, cause), cycles in attribution.cycles.items():
        by_cause[cause] += cycles
    assert by_cause[ISSUE] == run.bundles
    assert by_cause[DMA] + by_cause[FILL] + by_cause[DRAIN] == run.dma_wait_cycles
    assert by_cause[RESULT] == run.mxu_stall_cycles + run.unit_stall_cycles
    return attribution, by_cause


@pytest.mark.parametrize("name", ["add.tpu-v5e", "rows.tpu-v5e", "square.tpu-v5e", "square.tpu-v6e", "add.tpu7x"])
def test_every_cycle_has_a_place(golden, name):
    attributed(golden, name)


def test_matrix_results_are_awaited_where_they_are_taken(golden):
    # square.tpu-v5e: the pops that wait are worked out in test_simulate; the first of them is in bundle 27.
    attribution, _ = attributed(golden, "square.tpu-v5e")
    waits = {place: n for place, n in attribution.cycles.items() if place[2] == RESULT}
    first = min(waits)
    assert waits[first] == 120
    assert first[1].startswith("mxu")
    assert {unit for _, unit, cause in attribution.cycles if cause == ISSUE} == {CORE}


def test_filling_and_draining_are_told_apart(golden):
    _, by_cause = attributed(golden, "add.tpu-v5e")
    latency = 425 * 1.5
    assert 0.8 * latency < by_cause[FILL] < 1.1 * latency  # issuing goes on meanwhile
    assert by_cause[DRAIN] > 0
    assert by_cause[DMA] > by_cause[FILL]  # one wait a step in between
