"""A short run of the fuzzer, so that it cannot rot; long ones are run by hand."""

from learnings.fuzz import run


def test_a_short_run() -> None:
    said: list[str] = []
    assert run(1500, 7, said.append) > 500
    assert said == []
