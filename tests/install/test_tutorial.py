"""The tutorial, done as it is written: files from its blocks, commands in order, and the lines that it promises.

A block of shell without a title is run, one with a title says why not. A block of text promises lines of the command
before it, in that order; numbers in them may be others, because the cost model goes on learning.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from plugin_copy import ROOT

FENCE = re.compile(r'(?ms)^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$')
_NUMBERS = re.compile(r"r-\d+T\d+-[0-9a-f]+|\b[0-9a-f]{12}\b|\d[\d,.]*")


class Block(NamedTuple):
    language: str
    title: str
    body: str


BLOCKS = [Block(*groups) for groups in FENCE.findall((ROOT / "docs/tutorial.md").read_text(encoding="utf-8"))]


def without_numbers(text: str) -> list[str]:
    """Lines with every number, receipt and commit made equal, and the width of tables taken out."""
    return [" ".join(_NUMBERS.sub("#", line).split()) for line in text.splitlines()]


def broken_promise(promised: str, said: str) -> str | None:
    """The first promised line that does not come, after the ones before it, in what a command said."""
    lines = iter(without_numbers(said))
    return next((line for line in without_numbers(promised) if line not in lines), None)


def shell(body: str, project: Path) -> str:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = project.parent / "gitconfig"
    settings.write_text("[init]\n defaultBranch = main\n[user]\n name = You\n email = you@example.org\n")
    done = subprocess.run(
        ["bash", "-e", "-c", body],
        cwd=project,
        env={**os.environ, "PATH": programs, "GIT_CONFIG_GLOBAL": str(settings), "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, f"{body}{done.stdout}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.tpu_compiler
@pytest.mark.timeout(900)
def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    project = tmp_path / "my softmax"
    project.mkdir()
    said, ran, kept = "", 0, 0
    for block in BLOCKS:
        if block.language in ("python", "yaml") and block.title:
            (project / block.title).parent.mkdir(parents=True, exist_ok=True)
            (project / block.title).write_text(block.body, encoding="utf-8")
        elif block.language == "sh" and not block.title:
            said, ran = shell(block.body, project), ran + 1
        elif block.language == "text":
            promised = block.body.replace("{project}", str(project))
            assert broken_promise(promised, said) is None, said
            kept += 1
    assert ran > 5
    assert kept > 5


def test_a_broken_promise_is_noticed() -> None:
    said = "a0001: KEEP (faster), 14.4 us\n a0002: DISCARD\n"
    assert broken_promise("a0001: KEEP (faster), 15 us\na0002: DISCARD", said) is None
    assert broken_promise("a0002: DISCARD\na0001: KEEP (faster), 15 us", said) is not None
    assert broken_promise("a0001: DISCARD (slower), 14.4 us", said) is not None
