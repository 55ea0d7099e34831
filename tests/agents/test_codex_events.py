"""Reading `codex exec --json`: golden lines as 0.169.0 printed them, and lines that nobody should trust."""

import pytest

from cairn.agents.codex_events import read_report
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
    report = read_report(GOOD.splitlines())

    assert report.completed
    assert report.failure is None
    assert report.last_message == 'done\n{"hypothesis": "h"}'
    assert report.last_error.startswith("Reconnecting... 1/5")
    assert report.usage == Usage(input_tokens=400, cached_input_tokens=30, output_tokens=40)


def test_a_failed_turn_has_a_message_and_no_usage():
    report = read_report(FAILED.splitlines())

    assert not report.completed
    assert report.failure == "Quota exceeded. Check your plan and billing details."
    assert report.usage is None


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_a_transcript_torn_anywhere_is_read_up_to_there(cut):
    whole = read_report(GOOD.splitlines())
    torn = read_report(GOOD[:cut].splitlines())

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
    assert read_report([line]) == read_report([])


def test_odd_values_are_read_as_far_as_they_go():
    lines = ['{"type":"turn.failed"}', '{"type":"turn.completed","usage":{"input_tokens":"many"}}']

    assert read_report(lines).failure == "the turn failed"
    assert read_report(lines).usage == Usage()
