"""Real messages of jax 0.10 and libtpu 0.0.51, shortened, each with the class and the line it must give."""

from pathlib import Path

import pytest

from cairn.lab.failures import KINDS, classify, last_words

GOLDEN = Path(__file__).parent / "golden" / "failures.txt"


def cases() -> list[tuple[str, str, str, str, str]]:
    """`=== kind | error type | start of the line | source` and the message below."""
    found = []
    for block in GOLDEN.read_text(encoding="utf-8").split("=== ")[1:]:
        head, _, message = block.partition("\n")
        kind, error_type, line, source = (part.strip() for part in head.split("|"))
        found.append((kind, error_type, line, source, message.strip()))
    return found


@pytest.mark.parametrize(("kind", "error_type", "line", "source", "message"), cases())
def test_golden(kind, error_type, line, source, message):
    failure = classify(error_type, message)
    assert failure.kind == kind
    assert failure.line.startswith(line)
    assert (failure.source or "") == source
    assert failure.hint


def test_every_class_but_those_of_the_process_has_a_case():
    assert {case[0] for case in cases()} == set(KINDS) - {"crash", "timeout"}


def test_the_innermost_own_frame_is_the_source():
    traceback = (
        'File "/x/site-packages/jax/_src/api.py", line 9, in jit\n'
        '  File "/home/me/variants/mine.py", line 12, in run\n'
        '  File "/home/me/variants/mine.py", line 40, in kernel\n'
        '  File "/x/site-packages/jax/_src/pallas/mosaic/lowering.py", line 99, in rule\n'
    )
    assert (
        classify("ValueError", "Cannot store scalars to VMEM", traceback).source == "/home/me/variants/mine.py:40"
    )


@pytest.mark.parametrize("kind", ["crash", "timeout"])
def test_processes_that_gave_no_answer(kind):
    assert classify(kind, "no answer").kind == kind


def test_last_words_begin_with_what_the_process_gave_up_with():
    log = (
        "I0000 starting\nF1120 12:00:00.1 476 status.cc:99] overflow in static extent\n*** SIGABRT received ***\n"
    )
    assert last_words(log).startswith("status.cc:99] overflow in static extent\n")
    log = (
        "by signal 4. *** SIGILL (@0x7f) received ***\nPC: @     0x7f  (unknown)  xla::HloInstruction::operand()\n"
    )
    assert last_words(log).startswith("SIGILL in xla::HloInstruction::operand()\n")
    assert last_words("one\nLLVM ERROR: out of memory\n").startswith("LLVM ERROR")
    assert last_words("") == "the compiler process ended without a word"


def test_a_name_is_no_code_and_no_signal():
    assert classify("ValueError", "TILE1000 and SIZE2003 do not agree").kind == "compile_error"
    assert last_words("I0 compiling SIGMOID\nI0 Killed_blocks\nSIGSEGV here").startswith("SIGSEGV")


def test_texts_are_bounded():
    failure = classify("ValueError", "x" * 100_000)
    assert len(failure.line) <= 400
    assert len(failure.detail) <= 8_000


def test_an_assertion_without_words_is_told_by_its_code():
    traceback = (
        'Traceback (most recent call last):\n  File "/x/cairn/worker/user.py", line 9, in lower\n    run()\n'
        '  File "/home/me/mine.py", line 7, in check\n    assert rows % 128 == 0\n           ^^^^\nAssertionError\n'
    )
    failure = classify("AssertionError", "", traceback)
    assert failure.line == "AssertionError at mine.py:7: assert rows % 128 == 0"
    assert failure.source == "/home/me/mine.py:7"
    assert classify("AssertionError", "").line == "AssertionError without a message"
