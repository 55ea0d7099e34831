"""`cairn lab predict FILE:FUNCTION --shapes ...`: functions as strangers write them, and what they get wrong."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cairn.cli.main import cairn
from cairn.errors import CairnError, Missing, UsageError
from cairn.lab.user_files import find

FILE = Path(__file__).with_name("user_kernels.py")
ARRAY = "bf16[512,512]"
FIELDS = {"us", "low_us", "high_us", "breakdown", "flags", "refused", "versions", "target", "hint"}


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAIRN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def lab(*arguments: str) -> tuple[int, dict]:
    done = CliRunner().invoke(cairn, ["lab", *arguments, "--json"])
    if isinstance(done.exception, CairnError):
        raise done.exception
    return done.exit_code, json.loads(done.stdout)


def predicted(function: str, shapes: str, *more: str, target: str = "v5e") -> dict:
    code, data = lab("predict", f"{FILE}:{function}", "--shapes", shapes, "--target", target, *more)
    assert data.keys() >= FIELDS
    assert code == (1 if data["us"] is None else 0)
    return data


@pytest.mark.tpu_compiler
def test_many_ways_to_call_one_kernel_are_one_program():
    plain = predicted("matmul", f"{ARRAY}, {ARRAY} block=512")
    assert plain["low_us"] < plain["us"] < plain["high_us"]
    assert sum(plain["breakdown"].values()) == pytest.approx(plain["us"])
    assert plain["refused"] is None
    assert plain["versions"]["libtpu"]
    ways = [
        predicted("fixed", f"{ARRAY}*2"),
        predicted("static", f"{ARRAY} {ARRAY}", "--set", "block=512"),
        predicted("matmul", json.dumps({"x": ARRAY, "y": ARRAY, "block": 512})),
    ]
    assert {way["us"] for way in ways} == {plain["us"]}
    assert predicted("matmul", f"{ARRAY}, {ARRAY} block=512")["cached"]


@pytest.mark.tpu_compiler
def test_types_defaults_results_and_devices():
    assert predicted("several", ARRAY)["us"] > 0
    assert predicted("several", f"{ARRAY}, None, 3.0")["us"] > 0
    assert (
        predicted("matmul", "i8[512,512] i8[512,512] out_dtype=int32", target="v6e")["us"] is None
    )  # to float first
    assert predicted("by_device", ARRAY)["program"] != predicted("by_device", ARRAY, target="v6e")["program"]


@pytest.mark.tpu_compiler
def test_masks_of_a_kernel_that_ships_with_jax_are_followed():
    half = predicted("masked", "bf16[2,1024,128]*3", target="v5p")
    assert half["refused"] is None
    # ten of sixteen blocks are visited
    assert half["breakdown"]["issue"] > 0


@pytest.mark.tpu_compiler
def test_integers_that_decide_are_asked_for():
    unknown = predicted("chosen", "i32[4] f32[32,128]")
    assert (unknown["us"], unknown["breakdown"]) == (None, {})
    assert "not in the program" in unknown["refused"]
    assert "int32[4]=" in unknown["hint"]
    few = predicted("chosen", "i32[4]=[1,1,1,1] f32[32,128]")
    many = predicted("chosen", "i32[4]=[90,90,90,90] f32[32,128]")
    assert many["bundles"] > 3 * few["bundles"]


@pytest.mark.parametrize(
    ("shapes", "kind", "words"),
    [
        (ARRAY, "arguments", "missing 1 required positional argument"),
        (f"{ARRAY} {ARRAY} wide=1", "arguments", "unexpected keyword argument 'wide'"),
        ("f32[512,512] f32[512,512] block=100", "block_shape", "block shape"),
    ],
)
@pytest.mark.tpu_compiler
def test_calls_that_do_not_fit(shapes, kind, words):
    failure = predicted("matmul", shapes)["failure"]
    assert failure["kind"] == kind
    assert words in failure["line"]
    assert failure["hint"]


def test_names_that_are_not_there(tmp_path):
    with pytest.raises(UsageError) as raised:
        find(f"{FILE}:matmull")
    assert "`matmul`" in str(raised.value.hint)
    with pytest.raises(Missing):
        find(f"{tmp_path / 'no.py'}:f")
    with pytest.raises(UsageError):
        find(f"{FILE}:no name")
    made = tmp_path / "made.py"
    made.write_text("globals()['f'] = abs\n")
    assert find(f"{made}:f").function == "f"


@pytest.mark.tpu_compiler
def test_compile_explain_compare_and_sweep_of_a_function(tmp_path):
    call = ("--shapes", f"{ARRAY}, {ARRAY}", "--target", "v5e")
    code, data = lab("compile", f"{FILE}:matmul", *call)
    assert (code, data["kernels"][0]["name"]) == (0, "matmul.1")
    assert data["kernels"][0]["vmem_bytes"] > 0
    page, trace = tmp_path / "p.html", tmp_path / "p.json"
    code, data = lab("explain", f"{FILE}:matmul", *call, "--html", str(page), "--perfetto", str(trace))
    assert code == 0
    assert "user_kernels.py:" in json.dumps(data["kernels"][0]["lines"])
    assert len(data["brief"]["changes"]) <= 3
    assert "<svg" in page.read_text()
    assert {event["ph"] for event in json.loads(trace.read_text())["traceEvents"]} >= {"M", "X"}
    code, again = lab("explain", f"{FILE}:matmul", *call, "--brief")
    assert again == data["brief"]  # stable: two briefs can be compared line by line
    code, data = lab("compare", f"{FILE}:matmul", *call, "--against-set", "block=512")
    assert data["comparisons"][0]["verdict"] in ("FASTER", "SLOWER", "INCONCLUSIVE")
    code, data = lab(
        "compare", f"{FILE}:matmul", "--shapes", f"{ARRAY}*2 block=128", *call[2:], "--against-set", "block=512"
    )
    row = data["comparisons"][0]
    assert (row["verdict"], row["subject"]["program"] != row["other"]["program"]) == ("SLOWER", True)
    drawn = ("--html", str(tmp_path / "best.html"), "--perfetto", str(tmp_path / "best.json"))
    code, data = lab("sweep", f"{FILE}:matmul", *call, "--over", "block=128,256,512,100", *drawn)
    assert code == 0
    assert "block=512 on tpu-v5e" in (tmp_path / "best.html").read_text()
    assert json.loads((tmp_path / "best.json").read_text())["traceEvents"]
    assert [row["us"] is None for row in data["rows"]] == [False, False, False, True]
    assert data["rows"][0]["us"] <= data["rows"][1]["us"] <= data["rows"][2]["us"]
    code, data = lab("cache")
    assert data["entries"] > 0
    code, data = lab("cache", "--clear")
    assert data["cleared"]


@pytest.mark.tpu_compiler
def test_eight_bit_products_say_that_no_measurement_stands_behind_them():
    plain, narrow = (predicted("matmul", f"{kind}[512,512]*2", target="tpu7x") for kind in ("bf16", "f8e4m3fn"))
    assert not any("eight-bit" in flag for flag in plain["flags"])
    assert any(flag.startswith("eight-bit products") for flag in narrow["flags"])
    assert narrow["high_us"] / narrow["us"] >= plain["high_us"] / plain["us"]
    assert narrow["high_us"] / narrow["us"] == pytest.approx(narrow["us"] / narrow["low_us"])
