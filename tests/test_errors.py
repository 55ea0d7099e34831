"""Each error knows its exit code, and the tree in the docstring is the tree in the code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import cairn.errors
from cairn.errors import BadInput, CairnError


def subclasses(kind: type) -> set[type]:
    return {kind, *(found for child in kind.__subclasses__() for found in subclasses(child))}


def test_the_drawn_tree_is_complete() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+)\s+(\d+)", cairn.errors.__doc__ or ""))
    real = {kind.__name__: str(kind.exit_code) for kind in subclasses(CairnError) - {CairnError}}
    assert drawn == real
    assert set(real.values()) == {"2", "65", "69", "75"}


def test_bad_input_names_the_place() -> None:
    error = BadInput("is wrong", path="a.yaml", line=3, key="x.y", hint="mend it")
    assert str(error) == "a.yaml:3: x.y: is wrong"
    assert error.hint == "mend it"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(("streams", "code"), [("<&- >&- 2>&-", 0), (">/dev/full", 75), (">/dev/full --json", 75)])
def test_output_that_nobody_can_take_is_no_traceback(tmp_path: Path, streams: str, code: int) -> None:
    program = f"'{sys.executable}' -c 'from cairn.cli.main import main; main()' init --dry-run --domain pallas"
    (tmp_path / "pyproject.toml").write_text("")
    line = f"{program} {streams}"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
