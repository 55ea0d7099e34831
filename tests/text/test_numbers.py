"""Numbers as people write them: value, unit and exact text; and the digits that are none."""

import pytest

from cairn.text.numbers import plain, quantities

READ = {
    "34.4k tok/s": (34400.0, "tok/s"),
    "peak 31,841 MiB": (31841.0, "MiB"),
    "lr = 2e-4": (0.0002, None),
    "2.1 × 10^-3": (0.0021, None),
    "N = 2^20": (1048576.0, None),
    "below 10^-2": (0.01, None),
    "-54.81%": (-54.81, "%"),
    "about 8.7 percent": (8.7, "%"),
    "16 B each": (16.0, "bytes"),
    "7B parameters": (7e9, "parameters"),
    "35.6 TF": (35.6, "TFLOP/s"),
    "$12.50": (12.5, "USD"),
    "took 9m 12s": (552.0, "s"),
    "worked 4h13": (15180.0, "s"),
    "0.28 ms/token": (0.28, "ms/token"),
    "−3.7 pp": (-3.7, "pp"),
    "1.31x": (1.31, "x"),
    "8×A100": (8.0, None),
    "13/21 correct": (13.0, None),
}
NAMES = """\
2026-03-01 | 27.05.2026 | 4-5 March 2026 | April 24, 2026 | 20260512 | 10:01:41 | 2026-05-12T10:11:12Z
v1.2.3 | CUDA 12.8 | Python 3.11 | jax==0.4.30 | driver 535.104 | torch 2.9.1+rocm6.3 | compute capability 8.6
commit deadbee1 | 0xdeadbeef | 10.0.0.1:80 | a@b1.org | https://a.org/1/2?x=3 | arXiv:2310.02575 | PR #77 | issue 45
A100-SXM4-40GB | fp16 | int8 | 8-bit Adam
GPT-4 | llama 3 | Qwen2.5-7B | gfx90a | 910B2 | 128x128 | [1] | ID: 48213
Table 2 | Section 3.1 | Phase 2 | run-3 | Step 4: go | (step 2) | Q3 2025 | top-5 | ISO 8601 | C++17
rank 0 | footnote 2
configs/run_20260313.yaml | bench.py:88-97 | a/b-2026-01-26.md:33 | O(n^2) | x.reshape(-1, 8)
Signal 9 | et al. 2024"""


@pytest.mark.parametrize("text", READ)
def test_value_and_unit(text: str) -> None:
    (found,) = quantities(text)
    assert (found.value, found.unit) == (pytest.approx(READ[text][0]), READ[text][1])
    assert text[found.start : found.end] == found.raw


@pytest.mark.parametrize("text", [each for line in NAMES.splitlines() for each in line.split(" | ")])
def test_names_are_no_quantities(text: str) -> None:
    assert quantities(f"see {text} for it") == []
    assert quantities(f"{text} is it") == []


def test_several_in_a_line_keep_apart() -> None:
    found = quantities("latency went 58.48 → 51.84 ms (-11.4%), 5.81 ± 0.02 ms at ~15%, < 0.5 %")
    assert [(each.raw, each.unit) for each in found] == [
        ("58.48", "ms"), ("51.84 ms", "ms"), ("-11.4%", "%"), ("5.81 ± 0.02 ms", "ms"), ("15%", "%"), ("0.5 %", "%"),
    ]  # fmt: skip
    assert [(each.spread, each.approximate, each.bound) for each in found[3:]] == [
        (0.02, False, ""), (None, True, ""), (None, False, "<"),
    ]  # fmt: skip


def test_two_times_and_a_share() -> None:
    assert [(each.value, each.unit, each.total) for each in quantities("p50/p99 = 12/34 ms, 7/10 tasks")] == [
        (12.0, "ms", None), (34.0, "ms", None), (7.0, None, 10.0),
    ]  # fmt: skip


def test_base_units_compare() -> None:
    (small,), (large,) = quantities("1024 MiB"), quantities("1 GiB")
    assert small.base == large.base == (2.0**30, "bytes")


def test_a_cell_that_is_a_number_only() -> None:
    assert plain(" 4,844,631 ").value == 4844631.0  # type: ignore[union-attr]
    assert plain("20260512") is None
    assert plain("OOM") is None
