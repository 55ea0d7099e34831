"""What agents say about their edits is read tolerantly and bounded."""

import json

import pytest

from cairn.agents.claim import Claim, one_line, read_claim

CLAIM = {"hypothesis": "bigger chunks", "expected_effect": "-10 %", "idea_class": "tiling"}
FULL = Claim("bigger chunks", expected_effect="-10 %", idea_class="tiling")
MESSAGES = {
    "bare": (json.dumps(CLAIM), FULL),
    "after prose": (f"I did it.\n\n{json.dumps(CLAIM)}", FULL),
    "fenced and spread": (f"Done:\n```json\n{json.dumps(CLAIM, indent=2)}\n```\nGood luck!", FULL),
    "the last of two": (f'{{"hypothesis": "draft"}}\n{json.dumps(CLAIM)}', FULL),
    "with a nested object": (json.dumps({**CLAIM, "detail": {"chunk": 128}}), FULL),
    "another object behind it": (f'{json.dumps(CLAIM)}\n{{"note": 1}}', FULL),
    "wrong types": ('{"hypothesis": "h", "expected_effect": 3, "idea_class": null}', Claim("h")),
    "newline in a string": ('{"hypothesis": "one\ntwo"}', Claim("one two")),
    "not a string": ('Tried a thing.\n{"hypothesis": 5}', Claim("Tried a thing.")),
    "no object": ("Use bigger chunks.\nMore text.", Claim("Use bigger chunks.")),
    "markdown": ("\n\n## **Use bigger chunks**\nMore", Claim("Use bigger chunks")),
    "broken object": ('Use bigger chunks.\n{"hypothesis": "x",', Claim("Use bigger chunks.")),
    "nothing": ("", Claim()),
    "terminal codes": ("\x1b[31mred\x1b[0m\ttext", Claim("[31mred [0m text")),
}


@pytest.mark.parametrize(("message", "expected"), MESSAGES.values(), ids=MESSAGES)
def test_claims_are_read_tolerantly(message, expected):
    assert read_claim(message) == expected


@pytest.mark.parametrize(
    "message",
    ["x" * 10**6, "{" * 10**6, '{"a":' * 10**5, json.dumps({"hypothesis": "x" * 10**6})],
    ids=["long line", "braces", "deep", "long hypothesis"],
)
def test_a_claim_is_bounded_whatever_the_message(message):
    assert len(read_claim(message).hypothesis) <= 300


def test_one_line_cuts_with_an_ellipsis():
    assert one_line("a\n b\x00c" * 9, limit=8) == "a b ca …"


def test_a_claim_may_register_its_evidence_and_what_would_refute_it():
    claim = {"hypothesis": "h", "evidence": "41 % of bundles wait", "reject_if": "cost falls by less than 3 %"}

    found = read_claim(json.dumps(claim))

    assert (found.evidence, found.reject_if) == (claim["evidence"], claim["reject_if"])
