"""docs/failures.md names tests and acts as its proofs: each of them has to exist, and no act is left out."""

import re
from pathlib import Path

from misbehaving_agent import ACTS

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "failures.md").read_text()


def missing(page: str) -> set[str]:
    named = set(re.findall(r"`(test_\w+)`", page))
    text = "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))
    assert len(named) > 50
    return {name for name in named if f"def {name}(" not in text}


def test_every_proof_exists() -> None:
    assert not missing(PAGE)
    assert missing(f"{PAGE} `test_that_nobody_wrote`") == {"test_that_nobody_wrote"}


def test_every_act_is_on_the_page() -> None:
    rows = PAGE[PAGE.index("## What an agent may do") :]
    assert set(re.findall(r"`([a-z]\w+)`", rows)) - {"command"} == set(ACTS)
