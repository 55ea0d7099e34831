"""Reading `codex exec --json`: golden lines as 0.169.0 printed them, and lines that nobody should trust."""

import json

import pytest

from cairn.agents.codex_events import Claim, classify_failure, one_line, read_claim, read_transcript
from cairn.agents.protocol import Usage

GOOD = """\
{"type":"thread.started","thread_id":"01a1fa2d-8460-7782-a377-0b284eb4c960"}
{"type":"turn.started"}
{"type":"item.completed","item":{"id":"item_0","type":"agent_message","text":"first I look"}}
{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"/bin/bash -lc ls",\
"aggregated_output":"","exit_code":null,"status":"in_progress"}}
{"type":"error","message":"Reconnecting... 1/5 (stream disconnected before completion)"}
{"type":"item.completed","item":{"id":"item_1","type":"command_execution","command":"/bin/bash -lc ls",\
"aggregated_output":"kernel.py\\n","exit_code":0,"status":"completed"}}
{"type":"item.completed","item":{"id":"item_2","type":"agent_message","text":"done\\n{\\"hypothesis\\": \\"h\\"}"}}
{"type":"turn.completed","usage":{"input_tokens":400,"cached_input_tokens":30,"cache_write_input_tokens":0,\
"output_tokens":40,"reasoning_output_tokens":0}}
"""
FAILED = """\
{"type":"thread.started","thread_id":"01a1fa2d-8460-7782-a377-0b284eb4c960"}
{"type":"turn.started"}
{"type":"error","message":"Quota exceeded. Check your plan and billing details."}
{"type":"turn.failed","error":{"message":"Quota exceeded. Check your plan and billing details."}}
"""


def test_a_completed_turn_with_a_retry_on_the_way_is_no_failure():
    transcript = read_transcript(GOOD.splitlines())

    assert transcript.completed
    assert transcript.failure is None
    assert transcript.last_message == 'done\n{"hypothesis": "h"}'
    assert transcript.last_error.startswith("Reconnecting... 1/5")
    assert transcript.usage == Usage(input_tokens=400, cached_input_tokens=30, output_tokens=40)


def test_a_failed_turn_has_a_message_and_no_usage():
    transcript = read_transcript(FAILED.splitlines())

    assert not transcript.completed
    assert transcript.failure == "Quota exceeded. Check your plan and billing details."
    assert transcript.usage is None


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_a_transcript_torn_anywhere_is_read_up_to_there(cut):
    whole = read_transcript(GOOD.splitlines())
    torn = read_transcript(GOOD[:cut].splitlines())

    assert torn.failure is None
    assert torn.last_message in ("", "first I look", whole.last_message)
    assert torn.usage in (None, whole.usage)


ODD_LINES = [
    "",
    "null",
    "[]",
    "7",
    "not json",
    "{",
    '"turn.failed"',
    "{}",
    '{"type": null}',
    '{"type": "item.completed"}',
    '{"type": "item.completed", "item": "agent_message"}',
    '{"type": ["turn.failed"]}',
    "[" * 100_000,
]


@pytest.mark.parametrize("line", ODD_LINES, ids=range(len(ODD_LINES)))
def test_odd_lines_change_nothing(line):
    assert read_transcript([line]) == read_transcript([])


def test_odd_values_are_read_as_far_as_they_go():
    lines = ['{"type":"turn.failed"}', '{"type":"turn.completed","usage":{"input_tokens":"many"}}']

    assert read_transcript(lines).failure == "the turn failed"
    assert read_transcript(lines).usage == Usage()


# Messages of turn.failed, or stderr lines, as 0.169.0 printed them.
FAILURES = {
    "unexpected status 401 Unauthorized: Incorrect API key provided: dummy., url: http://x/v1/responses": "auth",
    "unexpected status 403 Forbidden: Forbidden country, url: http://x/v1/responses": "auth",
    "Missing environment variable: `SCRIPTED_KEY`.": "auth",
    "Not logged in": "auth",
    "To use Codex with your ChatGPT plan, upgrade to Plus: https://x/explore/plus.": "auth",
    "Quota exceeded. Check your plan and billing details.": "rate_limit",
    "You’ve hit your usage limit. Upgrade to Pro or try again at Mar 17th, 2030 5:46 PM.": "rate_limit",
    "exceeded retry limit, last status: 429 Too Many Requests": "rate_limit",
    "rate limit exceeded: Rate limit reached. Please try again in 1s.": "rate_limit",
    "Selected model is at capacity. Please try a different model.": "rate_limit",
    "stream disconnected before completion: idle timeout waiting for SSE": "idle",
    "/usr/bin/env: 'node': No such file or directory": "not_found",
    "We’re currently experiencing high demand, which may cause temporary errors.": "agent_error",
    "stream disconnected before completion: stream closed before response.completed": "agent_error",
    "Connection failed: error sending request": "agent_error",
    "unexpected status 404 Not Found: model not found, url: http://127.0.0.1:4290/v1/responses": "agent_error",
    '{"error": {"message": "bad thing", "type": "invalid_request_error"}}': "agent_error",
    "Codex ran out of room in the model's context window. Start a new thread.": "agent_error",
    "Error: Model provider `zz` not found": "agent_error",
    "": "agent_error",
}


@pytest.mark.parametrize(("text", "expected"), FAILURES.items())
def test_failures_have_classes(text, expected):
    assert classify_failure(text) == expected


CLAIM = {"hypothesis": "bigger chunks", "expected_effect": "-10 %", "idea_class": "tiling"}
FULL = Claim("bigger chunks", "-10 %", "tiling")
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
