"""A climb that is killed again and again, in short; benchmarks/chaos.py does the same for a hundred blows and more."""

import random
from pathlib import Path

import pytest
from chaos import play


@pytest.mark.timeout(400)
def test_five_blows_break_nothing(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**31)
    calm, struck = tmp_path / "calm", tmp_path / "struck"
    calm.mkdir()
    struck.mkdir()
    quiet = play(calm, "fake", 0, random.Random(0))
    toll = play(struck, "fake", 5, random.Random(seed), ("supervisor", "agent"))
    assert quiet.wrong == []
    assert toll.wrong == [], seed
    assert (toll.champion, toll.kept) == (quiet.champion, quiet.kept), seed
