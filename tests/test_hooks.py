"""The hook that knows the tags: says which skill is meant, and is silent about everything else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HOOK = Path(__file__).resolve().parent.parent / "hooks" / "prompt_tags.py"


def hook(stdin: bytes) -> str:
    done = subprocess.run([sys.executable, "-I", "-S", str(HOOK)], input=stdin, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("prompt", "skill"),
    [
        ("<retrospective> the softmax sweep", "retrospective"),
        ("\n  <Retrospective>\nlast week", "retrospective"),
        ("<advise> batch size", "advise"),
    ],
)
def test_a_tag_at_the_start_names_its_skill(prompt: str, skill: str) -> None:
    output = json.loads(hook(json.dumps({"prompt": prompt, "session_id": "x"}).encode()))["hookSpecificOutput"]
    assert output["hookEventName"] == "UserPromptSubmit"
    assert f"`{skill}`" in output["additionalContext"]


@pytest.mark.parametrize(
    "stdin",
    [
        b'{"prompt": "make it faster"}',
        b'{"prompt": "what does <retrospective> do?"}',
        b'{"prompt": "<retrospectives>"}',
        b'{"prompt": "</advise>"}',
        b'{"prompt": 3}',
        b'{"event": "x"}',
        b"[1, 2]",
        b"not json",
        b"\xff\xfe",
        b"",
    ],
)
def test_everything_else_is_met_with_silence(stdin: bytes) -> None:
    assert hook(stdin) == ""


def test_it_is_no_part_of_the_package() -> None:
    assert "import cairn" not in HOOK.read_text(encoding="utf-8")
