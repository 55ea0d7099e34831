"""Small programs of our own kernels, with expectations worked out by hand from the bundle texts."""

import dataclasses
import re
from pathlib import Path

import pytest

from cairn.lab import chip
from cairn.lab.bundles import Unreadable, parse
from cairn.lab.chip import Chip
from cairn.lab.kernels import second_core_idles
from cairn.lab.simulate import Simulator


def free_memory(figures: Chip) -> Chip:
    """The same chip with copies that cost nothing."""
    return dataclasses.replace(
        figures, dma_in_latency_ns=0.0, dma_out_latency_ns=0.0, hbm_gb_per_s=1e12, hbm_shared_gb_per_s=1e12
    )


def test_bundles_of_a_pipelined_grid(golden):
    # add.tpu-v5e: 5 bundles, then 8 passes for a grid of 6 (two more fill and drain the pipeline), then 4 bundles.
    # A pass is 0x5..0x3c, 56 bundles; the first and the last one jump from 0x20 over 0x25..0x30: 44.
    run = Simulator(golden("add.tpu-v5e"), free_memory(chip.load("tpu-v5e"))).run()
    assert run.refused is None
    assert run.bundles == run.cycles == 5 + 6 * 56 + 2 * 44 + 4


def test_copies_of_a_pipelined_grid(golden):
    run = Simulator(golden("add.tpu-v5e"), chip.load("tpu-v5e")).run()
    assert run.copies == 2 * 6
    assert run.hbm_bytes == 2 * 6 * 8 * 128 * 4
    assert run.cycles == run.bundles + run.dma_wait_cycles
    # Steps wait for copies in: block i+1 is asked for only when block i is needed, a latency before its time.
    latency = 425 * 1.5
    assert 4 * latency < run.dma_wait_cycles < 6 * latency


def test_loop_inside_a_step(golden):
    # rows.tpu-v5e: the inner loop 0x28..0x2b with its four delay slots runs 16 times in each of 3 steps.
    program = golden("rows.tpu-v5e")
    inner = [index for index, bundle in enumerate(program.bundles) if bundle.depth == 2]
    assert inner[0] == 0x28
    run = Simulator(program, free_memory(chip.load("tpu-v5e"))).run()
    once = Simulator(golden("add.tpu-v5e"), free_memory(chip.load("tpu-v5e"))).run()
    assert run.bundles > 3 * 16 * 8  # branch at 0x2b, so eight bundles a pass
    assert run.bundles < 3 * 16 * 8 + once.bundles


def test_matrix_results_are_awaited(golden):
    # square.tpu-v5e, unit 0: pushes at 7, 9, .. 21 (4 cycles each) end at 39; products start at 39 and 55; results
    # are there at 147, 155, 163, 171; the pops at 27, 31, 36, 41 wait 120, 4, 3 and 3 cycles.
    run = Simulator(golden("square.tpu-v5e"), free_memory(chip.load("tpu-v5e"))).run()
    assert run.mxu_stall_cycles == 120 + 4 + 3 + 3
    assert run.cycles == 53 + 130
    assert run.mxu_busy_cycles == 4 * 2 * 16 / 4  # four units, two products of 16 cycles each


def test_a_chip_that_prints_one_empty_bundle_for_several(golden):
    # add.tpu7x: x already lies in vector memory, so only the six results are copied.
    run = Simulator(golden("add.tpu7x"), chip.load("tpu7x")).run()
    assert run.refused is None
    assert run.copies == 6
    assert run.hbm_bytes == 6 * 8 * 128 * 4


def test_wide_matrix_units(golden):
    run = Simulator(golden("square.tpu-v6e"), chip.load("tpu-v6e")).run()
    assert run.cycles == run.bundles + run.mxu_stall_cycles + run.dma_wait_cycles


def test_the_second_core_does_nothing(golden):
    program = golden("add.tpu-v5p")
    assert program.uses_core_id
    run = Simulator(program, chip.load("tpu-v5p")).run(core=1)
    assert run.copies == 0
    assert run.cycles < 20


def test_two_cores_that_meet_divide_the_steps(golden):
    # halved.tpu-v4: add with a parallel axis; the cores wait for each other at 0xa, then each takes 3 of 6 steps.
    runs = [Simulator(golden("halved.tpu-v4"), chip.load("tpu-v4")).run(core=core, shared=True) for core in (0, 1)]
    assert [run.refused for run in runs] == [None, None]
    assert [run.copies for run in runs] == [6, 6]
    assert runs[0].cycles == runs[1].cycles


def test_one_core_hands_its_part_of_a_sum_to_the_other(golden):
    # summed.tpu-v4: XLA's x.sum(0) of float32[65536,128], which lies in CMEM. Each core adds up half of the rows, to a
    # register of eight; core 1 copies its own to core 0 and waits on its own flag until it has left. Core 0 waits for
    # it and stores the row, one granule.
    simulator = Simulator(golden("summed.tpu-v4"), chip.load("tpu-v4"))
    second = simulator.run(core=1, shared=True)
    assert second.refused is None
    assert [granules for _, _, granules in second.sent] == [8]
    assert "waits for 8 granules" in (simulator.run(core=0, shared=True).refused or "")
    first = simulator.run(core=0, shared=True, received=second.sent)
    assert first.refused is None
    assert first.sent == ()
    assert (first.hbm_bytes, second.hbm_bytes) == (512, 0)
    assert first.cycles > second.sent[0][1]


@pytest.mark.parametrize(
    ("name", "idles"), [("add.tpu-v5p", True), ("halved.tpu-v4", False), ("add.tpu-v5e", False)]
)
def test_a_core_without_work_is_noticed(name, idles):
    # add: no axis of its grid is parallel; halved: one is; a tpu-v5e has one core.
    text = (Path(__file__).with_name("golden") / f"{name}.bundles.txt").read_text()
    assert second_core_idles(text, chip.load(name.partition(".")[2])) is idles


@pytest.mark.parametrize("target", ["tpu-v4", "tpu-v5p"])
def test_a_copy_of_a_program_with_very_many_flags_stays_on_its_core(target):
    # Numbers of flags are made up here, in order of appearance: the last ones reach the bits that tell cores apart.
    last = 700
    lines = [f"%{n} = vsyncpa [#allocation{n}], 0" for n in range(1, last + 1)] + [
        f"%{last + 1} = dma.hbm_to_vmem /*hbm=*/%s1_s1, /*size_in_granules=*/8, /*vmem=*/%s2_s2, "
        f"/*dst_syncflagno=*/[#allocation{last}], /*src_syncflagno=*/[#allocation1]",
        f"%{last + 2} = dma.done.wait [#allocation{last}], 8",
        f"%{last + 3} = vsyncadd [#allocation{last}], 4294967288",
    ]
    text = "".join(f" 0x{at:x}   :  {{ {line} }}\n" for at, line in enumerate(lines))
    run = Simulator(parse(text), chip.load(target)).run()
    assert run.refused is None
    assert (run.copies, run.sent) == (1, ())


def test_a_trip_count_from_the_data_is_refused(golden):
    run = Simulator(golden("ragged.tpu-v5e"), chip.load("tpu-v5e")).run()
    assert run.cycles == 0
    assert "not in the program" in (run.refused or "")


def test_a_trip_count_that_is_supplied(golden):
    program = golden("ragged.tpu-v5e")
    runs = [
        Simulator(program, free_memory(chip.load("tpu-v5e"))).run(operands={0: (count,)}) for count in (5, 6, 50)
    ]
    five, six, fifty = (run.cycles for run in runs)
    assert fifty - five == 45 * (six - five) > 0


def test_too_long_is_refused_not_extrapolated(golden):
    run = Simulator(golden("add.tpu-v5e"), chip.load("tpu-v5e"), max_blocks=5).run()
    assert "too long" in (run.refused or "")


def _square(old: str, new: str, count: int = -1) -> str:
    """Why the toy product is refused after a change of its text."""
    text = (Path(__file__).parent / "golden" / "square.tpu-v5e.bundles.txt").read_text(encoding="utf-8")
    assert old in text
    run = Simulator(parse(text.replace(old, new, count)), chip.load("tpu-v5e")).run()
    assert run.cycles == 0
    return run.refused or ""


def test_results_that_nobody_takes_are_refused():
    assert "left in the queue of mxu0" in _square("vpop.f32.mrf.mxu0", "vmov", 1)


def test_results_that_nothing_made_are_refused():
    assert "empty queue of mxu1" in _square("vmatmul.bf16.gmra.mxu1", "vmov")


def test_copies_that_nobody_awaits_are_refused():
    text = (Path(__file__).parent / "golden" / "add.tpu-v5e.bundles.txt").read_text(encoding="utf-8")
    waits = re.sub(r"%\d+ = dma\.done\.wait[^;}]*", "%v9999_v0 = vmov 0 ", text, count=1)
    run = Simulator(parse(waits), chip.load("tpu-v5e")).run()
    assert "not awaited" in (run.refused or "")


LOOP_WITH_SLOTS = """
     0   :  { %s1_s1 = smov.u32 0 }
   0x1 LB: > { %s2_s1 = sadd.s32 1, %s3_s1  ;;  %s3_s1 = sphi %s1_s1, %s5_s1 } /* Start region 2 */
   0x2   : > { %p4_p0 = scmp.ge.s32.totalorder %s2_s1, 3  ;;  %s6_s2 = smov.u32 %s2_s1 }
   0x3   : > { %9 = sbr.rel (!%p4_p0) target = $region2 }
   0x4   :  {}
   0x5   : > { %s5_s1 = smov.u32 %s6_s2 } /* End region 3 */
   0x6   :  {}
   0x7   :  { %s8_s3 = smov.u32 0 }
"""


def test_slots_go_on_behind_a_folded_empty_one():
    # The counter advances in the slot 0x5, behind an empty one that stands for several: were it left out, the loop
    # would not end. Three passes of 3 bundles and six slots, one bundle before and one behind.
    run = Simulator(parse(LOOP_WITH_SLOTS), chip.load("tpu7x"), max_blocks=50).run()
    assert run.refused is None
    assert run.bundles == 1 + 3 * (3 + 6) + 1


def test_stalls_without_work_are_refused():
    # Without products that take over new weights nothing explains that 130 of 183 cycles are lost to waiting.
    text = (Path(__file__).parent / "golden" / "square.tpu-v5e.bundles.txt").read_text(encoding="utf-8")
    figures = free_memory(chip.load("tpu-v5e"))
    assert Simulator(parse(text), figures).run().refused is None
    refused = Simulator(parse(text.replace("vlgmr.msra.gmra", "gmra")), figures).run().refused
    assert "hardly busy" in (refused or "")


@pytest.mark.parametrize("name", ["square.tpu-v5e", "rows.tpu-v5e", "add.tpu-v5p"])
def test_looking_up_steps_changes_nothing(golden, name):
    figures = chip.load(name.partition(".")[2])
    assert Simulator(golden(name), figures).run() == Simulator(golden(name), figures, remembers=False).run()


def test_unknown_texts_are_refused(golden):
    with pytest.raises(Unreadable):
        parse("nothing of the kind")
    with pytest.raises(Unreadable):
        parse("   0x5   :  { %6 = vsyncpa [#allocation4], 0 }\n")
    program = parse("     0   :  { %1 = vwait.ge [#allocation4], 3 }\n")
    assert "not modelled" in (Simulator(program, chip.load("tpu-v5e")).run().refused or "")
