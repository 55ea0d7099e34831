"""Test runs that have to prove something: how many tests passed and how many were skipped, by pytest's last line."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cairn.cli.gdnctl.config import Tests
from cairn.process import end_tree, marked_environment
from cairn.worker.scratch import scratch

_SUMMARY = re.compile(r"^=* ?((?:\d+ [a-z]+,? ?)+)in [\d.]+s\b.*$", re.MULTILINE)
_COUNT = re.compile(r"(\d+) ([a-z]+)")
_LOOK_S, _TAIL_BYTES, _PIECE_BYTES = 0.2, 65_536, 1 << 20


def run_and_keep(command: Sequence[str]) -> tuple[int, str]:
    """Run a program without input, show what it prints as it comes, and give its exit code and its last words.

    Its output is a file and no pipe, so that nothing it leaves in the background can keep anybody waiting.
    """
    marked, mark = marked_environment(os.environ)
    with scratch("tests") as folder, (folder / "output").open("w+b") as output:
        child = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=marked
        )
        shown = 0
        try:
            while child.poll() is None:
                time.sleep(_LOOK_S)
                shown = _show(folder / "output", shown)
        finally:
            end_tree(child.pid, mark, polite=child.poll() is None)
            code = child.wait()
        while (now := _show(folder / "output", shown)) != shown:
            shown = now
        with (folder / "output").open("rb") as file:
            file.seek(max(0, shown - _TAIL_BYTES))
            return code, file.read(_TAIL_BYTES).decode("utf-8", "replace")


def _show(path: Path, shown: int) -> int:
    with path.open("rb") as file:
        file.seek(shown)
        new = file.read(_PIECE_BYTES)
    sys.stdout.buffer.write(new)
    sys.stdout.buffer.flush()
    return shown + len(new)


def lacking(said: str, wanted: Tests) -> str:
    """Why a run that ended well proves too little; empty when it proves enough."""
    if wanted.least_passed <= 0 and wanted.most_skipped < 0:
        return ""
    lines = _SUMMARY.findall(said)
    if not lines:
        return "there is no last line of pytest that says how many tests passed"
    counts = {word: int(number) for number, word in _COUNT.findall(lines[-1])}
    passed, skipped = counts.get("passed", 0), counts.get("skipped", 0)
    if passed < wanted.least_passed:
        return f"{passed} tests passed, at least {wanted.least_passed} have to (tests.least_passed)"
    if 0 <= wanted.most_skipped < skipped:
        return f"{skipped} tests were skipped, at most {wanted.most_skipped} may be (tests.most_skipped)"
    return ""
