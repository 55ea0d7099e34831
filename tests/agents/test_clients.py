"""Claude Code, the Gemini CLI and opencode: the real clients, their models scripted; nothing leaves 127.0.0.1."""

from pathlib import Path

import pytest

from agents.rig import CLAIM, LONG, Rig
from cairn.agents.catalogue import AgentOptions, open_agent
from cairn.agents.protocol import EditOutcome, Usage
from cairn.process import Limits
from scripted.clients import DIALECTS, client_environment, find_client
from scripted.server import ScriptedModel
from scripted.turns import Fault, Reply, Say, Scenario, Shell, Stall, Status, edits

MODELS = {"claude": "claude-opus-4-8", "gemini": "gemini-2.5-pro", "opencode": "scripted/m1"}
CLIENTS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            find_client(name) is None,
            reason=f"no {name} in $CAIRN_TEST_{name.upper()}, .clients/node_modules/.bin or PATH",
        ),
    )
    for name in DIALECTS
]
pytestmark = pytest.mark.client


def play(
    rig: Rig, name: str, scenarios: list[Scenario], *, limits: Limits = LONG, **options: object
) -> tuple[EditOutcome, ScriptedModel]:
    """One edit by the real client against these scenarios."""
    with ScriptedModel(scenarios, DIALECTS[name]()) as model:
        environment = client_environment(name, rig.folder / f"home-{model.port}", model.url)
        agent = open_agent(name, AgentOptions(model=MODELS[name], environment=environment, **options))
        return agent.edit(rig.task(limits)), model


@pytest.mark.parametrize("name", CLIENTS)
def test_an_edit_gives_a_change_a_claim_and_the_usage(rig: Rig, name: str) -> None:
    outcome, model = play(rig, name, [edits("kernel.py", "chunk = 128\n", CLAIM, when="make it faster")])

    assert (outcome.status, outcome.hypothesis, outcome.idea_class) == ("edited", "bigger chunks", "tiling")
    assert outcome.usage == Usage(input_tokens=200, output_tokens=20)
    assert outcome.model == MODELS[name]
    assert rig.kernel.read_text() == "chunk = 128\n"
    assert [request.depth for request in model.requests if request.scenario == 0] == [0, 1]
    assert "dummy" not in repr([request.headers for request in model.requests])
    assert sorted(path.name for path in rig.workdir.iterdir()) == [".git", "kernel.py"]
    assert outcome.transcript == rig.logs / f"{name}-events.jsonl"
    assert "bigger chunks" in outcome.transcript.read_text()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_wrong_key_is_an_auth_failure(rig: Rig, name: str) -> None:
    error = {"type": "authentication_error", "message": "API key not valid"}

    outcome, _ = play(rig, name, [Scenario([Status(401, error)])])

    assert (outcome.status, outcome.reason) == ("failed", "auth")


@pytest.mark.parametrize("name", CLIENTS)
def test_a_silent_model_is_idle_and_nothing_survives(rig: Rig, name: str) -> None:
    turns: list[Reply | Fault] = [Reply([Shell(f"(setsid sleep {rig.word} &) ; true")]), Stall(0)]

    outcome, _ = play(rig, name, [Scenario(turns)], limits=Limits(wall_s=60, idle_s=6))

    assert (outcome.status, outcome.reason) == ("failed", "idle")
    assert rig.survivors() == []


with_claude = pytest.mark.skipif(find_client("claude") is None, reason="no claude client")
CLAUDE_FAULTS = {
    "too many": (
        Status(429, {"type": "rate_limit_error", "message": "would exceed your rate limit"}),
        "rate_limit",
    ),
    "server error": (Status(500, {"message": "oops"}), "infra"),
    "no such model": (Status(404, {"type": "not_found_error", "message": "model: x"}), "settings"),
    "too long": (
        Status(400, {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}),
        "context",
    ),
}


@with_claude
@pytest.mark.parametrize(("fault", "reason"), CLAUDE_FAULTS.values(), ids=CLAUDE_FAULTS)
def test_faults_of_claudes_model_have_classes(rig: Rig, fault: Fault, reason: str) -> None:
    outcome, _ = play(rig, "claude", [Scenario([fault])])

    assert (outcome.status, outcome.reason) == ("failed", reason)
    assert outcome.detail


@with_claude
def test_claude_prices_its_own_run_and_its_shell_has_no_key(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAIRN_TEST_UNRELATED", "of the parent")
    turns = [Reply([Shell("env > kernel.py")]), Reply([Say(CLAIM)])]

    outcome, _ = play(rig, "claude", [Scenario(turns)], reasoning_effort="low", ephemeral=True)

    seen = {line.partition("=")[0] for line in rig.kernel.read_text().splitlines()}
    assert "CAIRN_PROCESS_TREE" in seen
    assert seen.isdisjoint({"ANTHROPIC_API_KEY", "CAIRN_TEST_UNRELATED"})
    assert (outcome.cost_basis, outcome.cost_usd) == ("client", pytest.approx(200 * 5e-6 + 20 * 25e-6))
    assert not list(Path(rig.folder).rglob("projects/*/*.jsonl"))
