"""The interpreter tier: kernels that compile and are wrong, and in which class each is reported."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cairn.cli.main import cairn
from cairn.lab.interpreted import interpret
from cairn.lab.lowering import Lowerer, Request
from cairn.lab.shapes import parse_call
from cairn.lab.user_files import find

pytestmark = pytest.mark.tpu_compiler
FILE = Path(__file__).with_name("faulty_kernels.py")
FOUND = {
    "right": set(),
    "copies_awaited": set(),
    "half_written": {"uninitialised"},
    "fresh_accumulator": {"uninitialised"},
    "skipped_blocks": {"uninitialised"},
    "read_before_wait": {"race"},
    "output_not_awaited": {"unwaited"},
    "beyond_the_end": {"out_of_bounds"},
    "parallel_sum": {"race", "order"},
}


@pytest.fixture(scope="module")
def lowerer():
    with Lowerer(Path(sys.executable), find(f"{FILE}:case"), "tpu-v5p", timeout_s=300) as running:
        yield running


@pytest.mark.parametrize("name", FOUND)
def test_findings(lowerer, name):
    report = interpret(lowerer, Request({"name": name}, parse_call(("f32[8,128]",))), timeout_s=300)
    assert report.failure is None
    kinds = {finding.kind for finding in report.findings}
    assert kinds & FOUND[name] if FOUND[name] else not kinds, report.findings
    assert all(finding.hint for finding in report.findings)


def test_a_wait_that_never_ends_is_a_timeout_that_says_so():
    with Lowerer(Path(sys.executable), find(f"{FILE}:case"), "tpu-v5p", timeout_s=300) as running:
        request = Request({"name": "waits_twice"}, parse_call(("f32[8,128]",)))
        report = interpret(running, request, ways=("on_wait",), timeout_s=10)
    assert report.failure is not None
    assert report.failure.kind == "timeout"
    assert "never comes" in report.failure.hint


def test_the_command_reports_a_missing_wait_and_where():
    command = [
        "lab",
        "interpret",
        f"{FILE}:read_before_wait",
        "--shapes",
        "f32[8,128]",
        "--way",
        "on_wait",
        "--json",
    ]
    done = CliRunner().invoke(cairn, command, catch_exceptions=False)
    finding = json.loads(done.stdout)["findings"][0]
    assert done.exit_code == 1
    assert (finding["kind"], finding["way"]) == ("race", "on_wait")
    assert "faulty_kernels.py:" in finding["source"]
