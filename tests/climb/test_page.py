"""docs/climb.md names tests as its proofs: each of them has to exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_proof_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (TESTS.parent / "docs" / "climb.md").read_text()))
    text = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    assert len(named) > 30
    assert not {name for name in named if f"def {name}(" not in text}
