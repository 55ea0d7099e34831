"""The checker: what has evidence passes, what has none is named with what the evidence holds instead."""

from pathlib import Path
from typing import Any

import pytest

from cairn.errors import Missing
from retro.evidence_files import SWEEP, project
from retro.golden import retro

HOLDS = [
    "`base-b` has val loss 2.84",
    "val loss fell to 2.8 with `base-b`",
    "throughput of `base-a`: 34.4k",
    "throughput of `base-a` was 34,400 tok/s",
    "from `base-a` to `base-b` the val loss fell by 2.4%",
    "learning rate 3e-4 (reports/a.md:8)",
    "seen on 2026-05-01 in Table 3 with v1.2.3 on A100-SXM4-40GB",
]
FALLS = {
    "`base-b` has val loss 2.48": ("no-evidence", "2.48"),
    "`base-b` has val loss 2.91": ("contradicted", "2.91"),
    "accuracy of `base-b` is 2.84": ("contradicted", "2.84"),
    "throughput of `base-a` is 34.4k ms": ("no-evidence", "34.4k ms"),
    "see `base-z9` for it": ("unknown-name", "base-z9"),
    "so says reports/a.md:999": ("wrong-place", "reports/a.md:999"),
    "so says reports/b.md:1": ("wrong-place", "reports/b.md:1"),
    "a gain of 77.7%": ("no-evidence", "77.7%"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project(tmp_path, {"reports/a.md": SWEEP})
    return tmp_path


def findings(root: Path, text: str, code: int) -> Any:
    (root / "t.md").write_text(f"### Key findings\n\n- {text}\n")
    return retro(root, "check", str(root / "t.md"), code=code)["files"][0]["findings"]


@pytest.mark.parametrize("text", HOLDS)
def test_holds(root: Path, text: str) -> None:
    assert findings(root, text, 0) == []


@pytest.mark.parametrize("text", FALLS)
def test_falls(root: Path, text: str) -> None:
    found = findings(root, text, 1)
    assert [(each["line"], each["code"], each["what"]) for each in found] == [(3, *FALLS[text])]


def test_nothing_to_check_against_is_no_pass(tmp_path: Path) -> None:
    project(tmp_path, {"t.md": "1.5 ms\n"})
    with pytest.raises(Missing):
        retro(tmp_path, "check", str(tmp_path / "t.md"))
