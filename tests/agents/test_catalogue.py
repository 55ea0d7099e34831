"""Agents by name, what each of them takes, and what an edit costs."""

from pathlib import Path

import pytest

from cairn.agents.catalogue import AGENTS, AgentOptions, open_agent
from cairn.agents.prices import load_prices
from cairn.agents.protocol import Usage
from cairn.errors import BadInput, Missing, UsageError


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_can_be_opened(name: str, tmp_path: Path) -> None:
    options = AgentOptions(command="true" if name == "command" else None, temporary=tmp_path / "tmp")
    assert open_agent(name, options).name == name


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("tuner", {"model": "m"}),
        ("codex", {"command": "x"}),
        ("gemini", {"reasoning_effort": "high"}),
        ("opencode", {"search": True}),
        ("claude", {"profile": "p"}),
        ("command", {"command": "x", "binary": "y"}),
    ],
)
def test_an_option_without_a_use_is_refused(name: str, option: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="has no use for --"):
        open_agent(name, AgentOptions(**option))


def test_a_command_is_needed_and_a_name_known() -> None:
    with pytest.raises(UsageError, match="needs a program"):
        open_agent("command", AgentOptions())
    with pytest.raises(UsageError, match="no agent `copilot`"):
        open_agent("copilot", AgentOptions())


COSTS = {
    "gpt-5.3-codex": (Usage(1_000_000, 400_000, 100_000), 0.6 * 1.75 + 0.4 * 0.175 + 0.1 * 14),
    "gpt-5.4-2026-03-05": (Usage(100_000, 0, 10_000), 0.25 + 0.15),
    "gpt-5.4": (Usage(1_000_000, 0, 100_000), 5.0 + 2.25),  # a request may have been long: the upper tariff
    "openai/gpt-5.6-sol": (Usage(200_000, 50_000, 0, 50_000), 0.1 * 5 + 0.05 * 0.5 + 0.05 * 6.25),
    "claude-haiku-4-5-20251001": (Usage(1000, 0, 1000), 0.006),
    "a-model-nobody-knows": (Usage(1000, 0, 1000), None),
    "gpt-5.3": (Usage(1000, 0, 1000), None),
}


@pytest.mark.parametrize(("model", "case"), COSTS.items())
def test_costs_come_from_the_table_or_not_at_all(model: str, case: tuple[Usage, float | None]) -> None:
    usage, expected = case
    found = load_prices().cost_usd(usage, model)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_table_of_the_user_goes_over_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("source: our contract\nmodels:\n  in-house: {input: 1, cached: 0, output: 2}\n")
    prices = load_prices(path)
    assert prices.cost_usd(Usage(1_000_000, 0, 0), "in-house") == 1.0
    assert prices.knows("in-house", own_only=True)
    assert prices.knows("gpt-5.5")
    assert not prices.knows("gpt-5.5", own_only=True)
    path.write_text("source: x\nmodels:\n  in-house: {inptu: 1, cached: 0, output: 2}\n")
    load_prices.cache_clear()
    with pytest.raises(BadInput, match="inptu"):
        load_prices(path)
    with pytest.raises(Missing):
        load_prices(tmp_path / "gone.yaml")
