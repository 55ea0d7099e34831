"""The trigger set: large, balanced, without doubles, and told apart from its near misses by the descriptions' words.

No model is asked here. The offline check is a weak, honest one: the words of a description must say more about prompts
that should wake the skill than about near misses. A description that lost its trigger words fails it.
"""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = yaml.safe_load((Path(__file__).parent / "prompts.yaml").read_text(encoding="utf-8"))
SKILLS = {
    path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])["description"]
    for path in (ROOT / "skills").glob("*/SKILL.md")
}
_EMPTY = {*"a and do for in is it not of on or that the to what with when".split()}  # noqa: SIM905 -- a sentence


def stems(text: str) -> set[str]:
    """Words without their endings, function words left out."""
    words = re.findall(r"[a-z]{2,}", text.lower())
    return {re.sub(r"(ing|ed|es|s|er)$", "", word)[:7] for word in words} - _EMPTY


def overlap(prompt: str, description: str) -> int:
    """How many words of the prompt the description has; what follows "not for" does not count."""
    return len(stems(prompt) & stems(description.partition("not for")[0]))


def test_the_set_is_large_and_half_near_misses() -> None:
    texts = [row["prompt"] for row in PROMPTS]
    assert len(texts) >= 60
    assert len(set(texts)) == len(texts)
    counts = Counter(row["skill"] for row in PROMPTS)
    assert set(counts) == {*SKILLS, "none"}
    assert abs(counts["none"] - len(texts) / 2) <= len(texts) * 0.05
    assert min(counts.values()) >= 5


def test_tags_stand_only_with_their_skills() -> None:
    for row in PROMPTS:
        tag = re.match(r"<(\w+)>", row["prompt"])
        if tag:
            assert row["skill"] == tag[1]


def tells_apart(name: str, description: str) -> bool:
    """Whether a description has clearly more words of its own prompts than of near misses."""
    own = [overlap(row["prompt"], description) for row in PROMPTS if row["skill"] == name]
    misses = [overlap(row["prompt"], description) for row in PROMPTS if row["skill"] == "none"]
    return sum(own) / len(own) > 1.5 * sum(misses) / len(misses)


@pytest.mark.parametrize("name", sorted(SKILLS))
def test_a_description_fits_its_prompts_better_than_near_misses(name: str) -> None:
    assert tells_apart(name, SKILLS[name])


@pytest.mark.parametrize("name", sorted(SKILLS))
def test_a_description_without_its_trigger_words_is_noticed(name: str) -> None:
    assert not tells_apart(name, "Helps with the code, the data and the files of a project. Use when asked to.")
