"""What must not leave is taken out; figures, shapes and versions stay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.text.redact import redact
from cairn.text.table import cell, table


@pytest.mark.parametrize(
    ("text", "kind", "kept"),
    [
        ("see /home/ada/runs/x.log:3", "home", "see ~/runs/x.log:3"),
        ("`/Users/ada`", "home", "`~`"),
        (r"C:\Users\ada\x", "home", r"~\x"),
        ("ghp_0123456789abcdefABCDEF", "key", "[redacted key]"),
        ("github_pat_11ABCDEFG0123456789_abc", "key", "[redacted key]"),
        ("AKIAIOSFODNN7EXAMPLE", "key", "[redacted key]"),
        ('"api_key": "abcdef-123456"', "key", '"api_key": "[redacted key]"'),
        ("HF_TOKEN=hf_abcdefghijklmnopqrstuv", "key", "HF_TOKEN=[redacted key]"),
        ("Authorization: Bearer abcdefghijkl.mnop", "key", "Authorization: Bearer [redacted key]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----", "key", "[redacted key]"),
        ("https://ada:pw123@example.org/x", "host", "https://example.org/x"),
        ("gs://bucket/runs/1 done", "bucket", "gs://[redacted] done"),
        ("mail ada@example.org", "email", "mail [redacted address]"),
        ("at tpu-7.us-c1.internal:8080", "host", "at [redacted host]:8080"),
        ("ip-10-1-2-3.ec2", "host", "[redacted host]"),
        ("10.128.0.7:8471", "ip", "[redacted ip]:8471"),
        ("fe80::1ff:fe23:4567:890a", "ip", "[redacted ip]"),
        ("ran on climbbox-3", "host", "ran on [redacted host]"),
    ],
)
def test_taken_out(text: str, kind: str, kept: str) -> None:
    after, found = redact(text, ("climbbox-3", "abc"))
    assert after == kept
    assert kind in {each.kind for each in found}
    assert redact(after, ("climbbox-3",)) == (after, []), "and nothing is left to take out"


@pytest.mark.parametrize(
    "text",
    [
        "1.310x on B=8 T=4096, jax 0.10.2, libtpu 0.0.51",
        "vector<64x256xbf16> and f32[8,128] at 12:30:45",
        "tokens=131072 per step, tokens: 4096000",
        "iteration_4/variants/fused/kernel.py",
        "a/b, home/x, and the root cause",
        "result 9c1b22aa4f01, F012::S007, @media",
        "std::vector<int>, a::b",
    ],
)
def test_kept(text: str) -> None:
    assert redact(text) == (text, [])


def test_lines_are_counted() -> None:
    _, found = redact("a\nb 10.0.0.1\n/home/x")
    assert [(each.kind, each.line) for each in found] == [("home", 3), ("ip", 2)]


@given(st.text("ab1./:@-= \nhome/token=gs:ghp_", max_size=60))
def test_redacting_twice_takes_out_nothing_more(text: str) -> None:
    after, _ = redact(text)
    assert redact(after)[0] == after


@given(st.text(max_size=300))
def test_a_cell_stays_a_cell(text: str) -> None:
    line = table(["A"], [[text]])[-1]
    assert len(line.splitlines()) <= 1
    inside = cell(text).replace("\\\\", "")
    assert "|" not in inside.replace("\\|", "")
    assert "`" not in inside.replace("\\`", "")
