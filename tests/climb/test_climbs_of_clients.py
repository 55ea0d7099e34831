"""Three attempts of one climb by the real clients, their models scripted: Claude Code, the Gemini CLI and opencode.

The judge is a table of costs; Codex has the same climb with the real judge in `test_climb_command.py`.
"""

import json
from pathlib import Path

import pytest
from climbs import VARIANT, Bench

from cairn.agents.catalogue import AgentOptions, open_agent
from cairn.climb.ledger import Ledger
from cairn.process import Limits
from scripted.clients import DIALECTS, client_environment, find_client
from scripted.server import ScriptedModel
from scripted.turns import Reply, Say, Scenario, Shell
from workspace import Workspace

MODELS = {"claude": "claude-opus-4-8", "gemini": "gemini-2.5-pro", "opencode": "scripted/m1"}


def scenario(size: int, idea: str) -> Scenario:
    claim = {"hypothesis": f"blocks of {size}", "idea_class": idea}
    change = Shell(f"sed -i 's/block: int = [0-9]*/block: int = {size}/' {VARIANT}")
    return Scenario([Reply([change]), Reply([Say(f"Done.\n{json.dumps(claim)}")])])


@pytest.mark.client
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(find_client(name) is None, reason=f"{name} is not installed"))
        for name in DIALECTS
    ],
)
def test_three_attempts_of_a_real_client(workspace: Workspace, tmp_path: Path, name: str) -> None:
    attempts = [scenario(16, "tiling"), scenario(64, "layout"), scenario(8, "tiling")]
    with ScriptedModel(attempts, DIALECTS[name]()) as model:
        environment = client_environment(name, tmp_path / "client-home", model.url)
        agent = open_agent(name, AgentOptions(model=MODELS[name], environment=environment))
        bench = Bench(workspace, agent=agent, agent_limits=Limits(wall_s=120, idle_s=90))
        state = bench.run(attempts=3)
    assert model.unplayed() == []
    assert bench.decisions() == ["kept", "kept", "discarded"]
    assert [attempt.hypothesis for attempt in state.decided] == [
        "blocks of 16",
        "blocks of 64",
        "blocks of 8",
    ]
    assert len(bench.commits()) == 2
    events = [
        event for event in Ledger(bench.folder / "ledger.jsonl").events if event["event"] == "attempt.edited"
    ]
    assert all(event["usage"]["input_tokens"] > 0 for event in events)
    assert all((bench.folder / str(event["transcript"])).stat().st_size > 0 for event in events)
    bench.assert_clean()
