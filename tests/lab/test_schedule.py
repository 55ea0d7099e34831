"""Whole programs from hand-written scheduled HLO and the golden bundles: loops, copies, refusals."""

from pathlib import Path

import pytest

from cairn.errors import UsageError
from cairn.lab import chip, hlo
from cairn.lab.chip import TARGETS
from cairn.lab.dumps import Dump
from cairn.lab.loops import Loop, Scalars
from cairn.lab.predict import Prediction, predict
from cairn.lab.service import CompileResult

ADD = (Path(__file__).parent / "golden" / "add.tpu-v5e.bundles.txt").read_text(encoding="utf-8")
KERNEL = 'custom-call(%x), custom_call_target="tpu_custom_call"'
PLAIN = """
ENTRY %main (x: f32[48,128]) -> f32[48,128] {
  %x = f32[48,128]{1,0:T(8,128)} parameter(0)
  ROOT %add.1 = f32[48,128]{1,0:T(8,128)} KERNEL
}
"""
LOOP = """
%body (p: (s32[], f32[48,128])) -> (s32[], f32[48,128]) {
  %p = (s32[]{:T(128)}, f32[48,128]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%p), index=0
  %x = f32[48,128]{1,0:T(8,128)} get-tuple-element(%p), index=1
  %two = s32[]{:T(128)} constant(1)
  %next = s32[]{:T(128)} add(%i, %two)
  %add.1 = f32[48,128]{1,0:T(8,128)} KERNEL
  ROOT %t = (s32[]{:T(128)}, f32[48,128]{1,0:T(8,128)}) tuple(%next, %add.1)
}

%condition (q: (s32[], f32[48,128])) -> pred[] {
  %q = (s32[]{:T(128)}, f32[48,128]{1,0:T(8,128)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%q), index=0
  %n = s32[]{:T(128)} constant(BOUND)
  ROOT %lt = pred[]{:T(512)} compare(%i, %n), direction=LT
}

ENTRY %main (x: f32[48,128]) -> f32[48,128] {
  %x = f32[48,128]{1,0:T(8,128)} parameter(0)
  %zero = s32[]{:T(128)} constant(3)
  %s = (s32[]{:T(128)}, f32[48,128]{1,0:T(8,128)}) tuple(%zero, %x)
  %w = (s32[]{:T(128)}, f32[48,128]{1,0:T(8,128)}) while(%s), condition=%condition, body=%body
  ROOT %out = f32[48,128]{1,0:T(8,128)} get-tuple-element(%w), index=1
}
"""


def prediction(text: str, *, bundles: dict[str, str] | None = None, target: str = "tpu-v5e") -> Prediction:
    dump = Dump(hlo=text.replace("KERNEL", KERNEL), bundles={"add.1": ADD} if bundles is None else bundles)
    return predict(CompileResult(target, None, custom_calls=("add.1",), dump=dump), target)


def test_one_kernel():
    result = prediction(PLAIN)
    assert result.refused is None
    assert result.us == pytest.approx(result.cycles / 1500)
    assert result.low_us < result.us < result.high_us
    margin = chip.load("tpu-v5e").interval_fraction["copies"]
    assert result.us / result.low_us == pytest.approx(1.0 + margin)
    assert sum(result.breakdown.values()) == pytest.approx(result.us)
    assert result.hbm_bytes == 2 * 48 * 128 * 4
    assert "operands: neighbours charged" in result.flags


@pytest.mark.parametrize("bound", [4, 6, 53])
def test_a_loop_multiplies(bound):
    once, loop = prediction(PLAIN), prediction(LOOP.replace("BOUND", str(bound)))
    trips = bound - 3
    assert loop.us == pytest.approx(trips * once.us)
    assert loop.hbm_bytes == trips * once.hbm_bytes
    assert loop.bundles == trips * once.bundles


@pytest.mark.parametrize(("step", "bound", "trips"), [(1, 3, 0), (1, 4, 1), (2, 9, 3), (2, 10, 4), (5, 1000, 200)])
def test_trip_counts(step, bound, trips):
    text = LOOP.replace("BOUND", str(bound)).replace("constant(1)", f"constant({step})").replace("KERNEL", KERNEL)
    module = hlo.parse(text)
    instruction = module.entry.find("w")
    assert Loop(module, instruction, module.entry, Scalars(module.entry)).trips() == trips


def test_a_loop_that_depends_on_data_is_refused():
    result = prediction(
        LOOP.replace("s32[]{:T(128)} constant(3)", "s32[]{:T(128)} reduce(%x)").replace("BOUND", "9")
    )
    assert result.us is None
    assert "trip count of w" in result.refused


@pytest.mark.parametrize(
    "moved",
    [
        "select(%late, %one, %far)",  # a stride that looks even where it is looked at
        "add(%i, %stride)",
        "multiply(%i, %far)",
    ],
)
def test_a_counter_that_moves_unevenly_is_refused(moved):
    """`i + (1 if i > 20 else 40)`: most turns come after the first few."""
    lines = f"""%one = s32[]{{:T(128)}} constant(1)
  %far = s32[]{{:T(128)}} constant(40)
  %edge = s32[]{{:T(128)}} constant(20)
  %late = pred[]{{:T(512)}} compare(%i, %edge), direction=GT
  %stride = s32[]{{:T(128)}} select(%late, %one, %far)
  %next = s32[]{{:T(128)}} {moved}"""
    text = LOOP.replace("%next = s32[]{:T(128)} add(%i, %two)", lines).replace("BOUND", "90")
    assert "trip count of w" in (prediction(text).refused or "")


def test_scalars_wrap_at_their_type():
    text = """
ENTRY %main (x: s32[]) -> u8[] {
  %minus = s32[] constant(-1)
  %byte = u8[] convert(%minus)
  %wide = s32[] convert(%byte)
  %large = s32[] constant(2147483647)
  %sum = s32[] add(%large, %wide)
  %half = f32[] convert(%wide)
}
"""
    scalars = Scalars(hlo.parse(text).entry)
    values = [scalars.value(name) for name in ("byte", "wide", "sum", "half")]
    assert values == [255, 255, -(2**31) + 254, None]


def test_attributes_with_line_ends_and_threads():
    text = PLAIN.replace(
        "KERNEL", 'KERNEL, frontend_attributes={kernel_metadata={\n"x":"{1}"\n}}, metadata={op_name="a"}'
    )
    assert prediction(text).us == prediction(PLAIN).us
    other = '%side (p: f32[]) -> f32[] {\n  ROOT %p = f32[] parameter(0)\n}, execution_thread="sparsecore"\n'
    assert prediction(other + PLAIN).us == prediction(PLAIN).us


def test_copies_round_the_kernel_are_charged():
    text = """
ENTRY %main (x: f32[48,128]) -> f32[48,128] {
  %big = f32[4096,4096]{1,0:T(8,128)} parameter(0)
  %copy-start = (f32[4096,4096]{1,0:T(8,128)S(1)}, f32[4096,4096]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%big)
  %copy-done = f32[4096,4096]{1,0:T(8,128)S(1)} copy-done(%copy-start)
  %x = f32[48,128]{1,0:T(8,128)} parameter(1)
  ROOT %add.1 = f32[48,128]{1,0:T(8,128)} KERNEL
}
"""
    result = prediction(text)
    figures = chip.load("tpu-v5e")
    copy_us = 4096 * 4096 * 4 / (figures.hbm_gb_per_s * 1000) + figures.dma_in_latency_ns / 1000
    assert result.us - prediction(PLAIN).us == pytest.approx(copy_us)
    assert result.breakdown["neighbours"] == pytest.approx(copy_us)


def test_alike_instructions_share_the_program_that_was_dumped_once():
    twin = "%again = f32[48,128]{1,0:T(8,128)} KERNEL\n  ROOT %add.1"
    assert prediction(PLAIN.replace("ROOT %add.1", twin)).us == pytest.approx(2 * prediction(PLAIN).us)
    other = twin.replace("[48,128]", "[48,256]", 1)
    assert "again" in prediction(PLAIN.replace("ROOT %add.1", other)).refused


def test_what_only_moves_data_may_be_costed_by_bytes_and_says_so():
    text = PLAIN.replace("ROOT %add.1", "%t = f32[48,1280]{1,0:T(8,128)} broadcast(%x)\n  ROOT %add.1")
    result = prediction(text)
    assert result.us > prediction(PLAIN).us
    plain = prediction(PLAIN)
    assert result.by_bytes > 0.1
    assert result.high_us / result.us == pytest.approx(plain.high_us / plain.us + result.by_bytes)
    assert any("by bytes" in flag for flag in result.flags)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("%d = f32[48,4800]{1,0:T(8,128)} dot(%x, %x)", "dot"),
        ("%d = f32[48,4800]{1,0:T(8,128)} sort(%x)", "sort"),
        ("%d = f32[8]{0:T(128)} sort(%small)", "sort"),
        ('%d = f32[8]{0:T(128)} custom-call(%small), custom_call_target="tpu_custom_call"', "no schedule"),
        ("%d = f32[48,4800]{1,0:T(8,128)} all-reduce(%x)", "all-reduce"),
        ("%d = f32[48,4800]{1,0:T(8,128)} conditional(%x)", "conditional"),
        ('%d = f32[48,4800]{1,0:T(8,128)} custom-call(%x), custom_call_target="TopK"', "no schedule"),
    ],
)
def test_nothing_else_is_guessed(line, reason):
    result = prediction(PLAIN.replace("ROOT %add.1", f"{line}\n  ROOT %add.1"))
    assert result.us is None
    assert reason in result.refused


@pytest.mark.parametrize("bundles", [{}, {"add.1": "garbage"}])
def test_a_kernel_without_a_schedule_is_refused(bundles):
    assert "add.1" in prediction(PLAIN, bundles=bundles).refused


def test_refusals_before_anything_is_simulated():
    assert "no entry" in prediction("nothing").refused
    assert "compiled for" in predict(CompileResult("tpu-v5e", None), "tpu-v5p").refused
    truncated = CompileResult("tpu-v5e", None, dump=Dump(truncated=True))
    assert "too large" in predict(truncated, "tpu-v5e").refused
    with pytest.raises(UsageError):
        predict(CompileResult("tpu-v5e", None), "tpu-v99")


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_table(target):
    figures = chip.load(target)
    assert figures.target == target
    assert figures.hbm_shared_gb_per_s <= figures.hbm_gb_per_s
    assert figures.same_kernel_margin == 0.05
