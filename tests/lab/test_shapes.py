"""Arguments as people write them."""

import json

import pytest

from cairn.errors import BadInput, Missing, UsageError
from cairn.lab.shapes import parse_call, value_node

SQUARE = {"kind": "array", "shape": [4096, 4096], "dtype": "bfloat16"}
TWICE = [
    "bf16[4096,4096],bf16[4096,4096]",
    "bfloat16[4096,4096] bfloat16[4096, 4096]",
    "bf16[4096,4096]; bf16[4_096,4096]",
    "bf16[4096,4096]*2",
    "jnp.bfloat16[4096,4096] (4096, 4096), bfloat16",
    "((4096,4096), 'bfloat16'), ((4096, 4096), jnp.bfloat16)",
    "[(4096, 4096, bf16), (4096, 4096, 'bf16')]",
    "bf16@4096x4096 4096x4096bf16",
    "tensor<4096x4096xbf16> jnp.zeros((4096, 4096), jnp.bfloat16)",
    "[{'shape': (4096, 4096), 'dtype': 'bf16'}, 'bf16[4096,4096]']",
    "4096x4096xbf16;4096x4096:bf16",
    "(4096,4096):bf16,(4096,4096) bf16",
    "bf16:4096x4096 bf16(4096,4096)",
    "(bf16[4096,4096], bf16[4096,4096])",
    "bf16[4096,4096]{1,0:T(8,128)(2,1)}, bf16[4096,4096]{1,0}",
    "ShapeDtypeStruct(shape=(4096, 4096), dtype=bfloat16), jax.ShapeDtypeStruct((4096,4096), jnp.bfloat16)",
    '[[[4096,4096],"bf16"],["bf16",[4096,4096]]]',
    '[{"shape":[4096,4096],"dtype":"bfloat16"},"bf16[4096,4096]"]',
]


@pytest.mark.parametrize("text", TWICE)
def test_two_arrays(text):
    assert parse_call((text,)) == {"positional": [SQUARE, SQUARE], "keyword": {}}


@pytest.mark.parametrize("text", ["a=bf16[4096,4096], b=bf16[4096,4096]", "a: bf16[4096,4096]; b:bf16:4096x4096"])
def test_by_name(text):
    assert parse_call((text,)) == {"positional": [], "keyword": {"a": SQUARE, "b": SQUARE}}


@pytest.mark.parametrize("text", ["[4096,4096] [4096,4096]", "(4096,4096),(4096,4096)", "4096x4096 4096x4096"])
def test_a_default_type(text):
    assert parse_call((text,), "bf16")["positional"] == [SQUARE, SQUARE]
    assert parse_call(("[[4096,4096],[4096,4096]]",), "bf16")["positional"] == [SQUARE, SQUARE]


def test_several_options_are_one_call(tmp_path):
    (tmp_path / "shapes.json").write_text(json.dumps({"bias": "bf16[4096,4096]"}))
    call = parse_call(("bf16[4096,4096]", f"@{tmp_path / 'shapes.json'}"))
    assert call == {"positional": [SQUARE], "keyword": {"bias": SQUARE}}


def test_values_make_constants(tmp_path):
    (tmp_path / "sizes.json").write_text("[[1, 2], [3, 4]]")
    text = f"i32[4]=[3,1,0,4] i32[]=5 i32[8]=arange, s32[2,2]=@{tmp_path / 'sizes.json'} f32[2]={{1.5,-2}}"
    values = [node["values"] for node in parse_call((text,))["positional"]]
    assert values == [[3, 1, 0, 4], 5, "arange", [1, 2, 3, 4], [1.5, -2]]


def test_other_arguments_groups_and_names():
    call = parse_call(
        ("f32[] None, 3, 2.5 true 'gelu' (f32[8],(f32[8] f32[1])) q=f32[8,128] causal=false out=int8",)
    )
    kinds = [node["kind"] for node in call["positional"]]
    assert kinds == ["array", "value", "value", "value", "value", "value", "tuple"]
    assert [node["value"] for node in call["positional"][1:6]] == [None, 3, 2.5, True, "gelu"]
    assert call["keyword"]["causal"] == {"kind": "value", "value": False}
    assert call["keyword"]["out"] == {"kind": "value", "value": "int8"}
    assert call["keyword"]["q"]["shape"] == [8, 128]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bf17[8]", "`bf17`"),
        ("bf16[8", "the shape behind bf16"),
        ("hello", "not understood"),
        ("i32[4]=[1,2]", "2 values for 4 elements"),
        ("f32[8]=", "values are"),
        ("i32[2]=[1,2", "not closed"),
        ("(f32[8]", "not closed"),
        ("f32[8]=what", "values are"),
        ("f32[-1]", "the shape behind f32"),
        ("f32[8.5]", "the shape behind f32"),
        ("f32", "f32[] is one number"),
        ("[8,128]", "--dtype"),
        ("4096x4096, 4096x4096", "--dtype"),
        ("", "no array"),
    ],
)
def test_what_is_not_understood(text, words):
    with pytest.raises(UsageError) as raised:
        parse_call((text,))
    assert words in raised.value.message or words in str(raised.value.hint)
    assert raised.value.hint


def test_files_that_are_not_there_or_not_json(tmp_path):
    with pytest.raises(Missing):
        parse_call(("@nowhere.json",))
    (tmp_path / "bad.json").write_text("[1,")
    with pytest.raises(BadInput):
        parse_call((f"i32[1]=@{tmp_path / 'bad.json'}",))


def test_settings_keep_tuples_apart_from_lists():
    assert value_node((1, [2]))["kind"] == "tuple"
    assert value_node((1, [2]))["items"][1]["kind"] == "list"
