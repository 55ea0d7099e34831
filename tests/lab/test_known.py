"""Scalar prefetch: what follows from constants decides control flow, what is an argument is refused."""

import pytest

from cairn.lab import hlo
from cairn.lab.known import KnownOperands
from cairn.lab.predict import predict
from cairn.lab.stored import Given

HLO = """
ENTRY %main (x: f32[8,128]) -> f32[8,128] {
  %a = s32[2,3]{1,0:T(2,128)} constant({...})
  %x = f32[8,128]{1,0:T(8,128)} parameter(0)
  %k.1 = f32[8,128]{1,0:T(8,128)} custom-call(%a, %x), custom_call_target="tpu_custom_call"
  ROOT %k.2 = f32[8,128]{1,0:T(8,128)} custom-call(%a, %k.1), custom_call_target="tpu_custom_call"
}
"""
TYPES = ["tensor<2x3xi32>", "tensor<8x128xf32>"]


def call(*words: int, types: list[str] = TYPES):
    return {"operands": types, "values": {"0": list(words)}}


def words(calls, name: str):
    module = hlo.parse(HLO)
    return KnownOperands(module, calls).of(module.entry.find(name))


def test_rows_are_padded_to_tiles():
    found = words([call(1, 2, 3, 4, 5, 6), call(1, 2, 3, 4, 5, 6)], "k.1")[0]
    assert len(found) == 256
    assert (found[:3], found[128:131], found[3]) == ((1, 2, 3), (4, 5, 6), 0)


def test_rows_of_narrow_types_share_words():
    text = HLO.replace("s32[2,3]{1,0:T(2,128)}", "s8[6,3]{1,0:T(8,128)(4,1)}")
    module = hlo.parse(text)
    calls = [call(*range(1, 18), -1, types=["tensor<6x3xi8>", "tensor<8x128xf32>"])]
    found = KnownOperands(module, calls).of(module.entry.find("k.1"))[0]
    assert len(found) == 256
    assert found[0] == 1 | 4 << 8 | 7 << 16 | 10 << 24  # rows 0 to 3 of the first column
    assert found[128:131] == (13 | 16 << 8, 14 | 17 << 8, 15 | 255 << 8)  # rows 4 and 5
    other = hlo.parse(text.replace("T(8,128)(4,1)", "T(8,128)"))
    assert KnownOperands(other, calls).of(other.entry.find("k.1")) == {}  # a layout that nobody has read


def test_calls_that_differ_are_told_apart_by_their_order():
    calls = [call(1, 1, 1, 1, 1, 1), call(2, 2, 2, 2, 2, 2)]
    assert words(calls, "k.1")[0][0] == 1
    assert words(calls, "k.2")[0][0] == 2


def test_nothing_is_known_where_calls_cannot_be_told_apart():
    assert words([call(1, 1, 1, 1, 1, 1), call(2, 2, 2, 2, 2, 2), call(3, 3, 3, 3, 3, 3)], "k.1") == {}
    assert words([call(1, 1, types=["tensor<2xi32>", "tensor<8x128xf32>"])], "k.1") == {}


def test_a_call_of_which_nothing_is_known_is_not_taken_for_another():
    unknown = {"operands": TYPES, "values": {}}
    assert words([call(1, 1, 1, 1, 1, 1), unknown], "k.1") == {}
    assert words([call(1, 1, 1, 1, 1, 1), unknown], "k.2") == {}


@pytest.mark.tpu_compiler
@pytest.mark.parametrize("target", ["tpu-v5e", "tpu-v5p", "tpu7x"])
def test_constants_decide_trips_and_copies(service, export_toy, target):
    few, many = (
        predict(service.compile(export_toy("prefetched", visits=visits), target, 60), target) for visits in (4, 8)
    )
    assert few.refused is None
    # 16 trips more each visit: 16 * (1 + ... + 8) against 16 * (1 + ... + 4), and the pipeline round them.
    assert 2.0 < many.bundles / few.bundles < 3.7
    assert few.hbm_bytes <= 10 * 8 * 128 * 4  # one block in, four out, the two lists


@pytest.mark.tpu_compiler
def test_an_argument_is_not_guessed(service, export_toy):
    prediction = predict(service.compile(export_toy("prefetched", known=0), "tpu-v5e", 60), "tpu-v5e")
    assert prediction.us is None
    assert "not in the program" in prediction.refused


@pytest.mark.tpu_compiler
def test_what_is_given_about_an_argument_counts_like_a_constant(service, export_toy):
    """The program keeps its argument; what fits its types is known, what does not is passed over."""
    inputs = ({"shape": [4], "dtype": "int32"}, {"shape": [32, 128], "dtype": "float32"})
    strange = Given(({"shape": [5], "dtype": "int32"}, inputs[1]), {"0": [1] * 5})
    few, many = Given(inputs, {"0": [16, 32, 48, 64]}), Given(inputs, {"0": [64, 128, 192, 256]})
    program, target = export_toy("prefetched", known=0), "tpu-v5e"
    shorter, longer, unknown = (
        predict(service.compile(program, target, 60, given), target)
        for given in ([strange, few], [strange, many], [strange])
    )
    assert 3.0 < longer.bundles / shorter.bundles < 4.1
    assert unknown.us is None
