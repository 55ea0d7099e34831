"""The Codex agent against the real client, whose model is scripted; nothing leaves 127.0.0.1."""

import dataclasses
import os
import time
from collections.abc import Sequence

import pytest

from agents.rig import CLAIM, LONG, Rig
from cairn.agents.codex import CodexAgent
from cairn.agents.protocol import EditOutcome, Usage
from cairn.process import Limits
from scripted.codex_home import CodexHome, find_codex, write_codex_home
from scripted.server import ScriptedModel
from scripted.turns import Drop, Failed, Fault, Patch, Reply, Say, Scenario, Shell, Stall, Status, Write, edits

CODEX = find_codex()
with_client = pytest.mark.skipif(
    CODEX is None, reason="no codex client in $CAIRN_TEST_CODEX, .clients/node_modules/.bin or PATH"
)
# For machines without user namespaces, where the client's own sandbox cannot work: danger-full-access.
SANDBOX = os.environ.get("CAIRN_TEST_CODEX_SANDBOX", "workspace-write")
with_sandbox = pytest.mark.skipif(
    SANDBOX != "workspace-write", reason="$CAIRN_TEST_CODEX_SANDBOX asks for another"
)
SANDBOXES = [pytest.param("workspace-write", marks=with_sandbox), "danger-full-access"]


def play(
    rig: Rig, scenarios: Sequence[Scenario], *, limits: Limits = LONG, config: str = "", **agent: object
) -> tuple[EditOutcome, ScriptedModel]:
    """One edit by the real client against these scenarios."""
    with ScriptedModel(scenarios) as model:
        home = write_codex_home(rig.folder / f"home-{model.port}", model.port)
        home.add_config(config)
        outcome = driver(home, **agent).edit(rig.task(limits))
    return outcome, model


def driver(home: CodexHome, **agent: object) -> CodexAgent:
    return dataclasses.replace(CodexAgent(environment=home.environment, sandbox=SANDBOX), **agent)


pytestmark = pytest.mark.client


@with_client
@pytest.mark.parametrize("model_name", ["gpt-5.5", "gpt-5.6", "a-model-nobody-knows"])
def test_an_edit_gives_a_change_a_claim_and_the_usage(rig, model_name):
    scenario = edits("kernel.py", "chunk = 128\n", CLAIM, when="make it faster")

    outcome, model = play(rig, [scenario], model=model_name, reasoning_effort="high")

    assert outcome == EditOutcome(
        "edited",
        hypothesis="bigger chunks",
        expected_effect="-10 %",
        idea_class="tiling",
        usage=Usage(input_tokens=200, output_tokens=20),
        model=model_name,
        transcript=rig.logs / "codex-events.jsonl",
    )
    assert rig.kernel.read_text() == "chunk = 128\n"
    assert [request.depth for request in model.requests] == [0, 1]
    assert {request.body["model"] for request in model.requests} == {model_name}
    assert '"web_search"' not in repr(model.requests[0].body).replace("'", '"')
    assert model.requests[0].headers["authorization"] == "***"
    assert sorted(path.name for path in rig.workdir.iterdir()) == [".git", "kernel.py"]


@with_client
def test_the_events_and_messages_of_an_edit_are_kept(rig):
    play(rig, [edits("kernel.py", "chunk = 128\n", CLAIM)])

    assert '"turn.completed"' in (rig.logs / "codex-events.jsonl").read_text()
    assert (rig.logs / "codex-last-message.txt").read_text() == CLAIM
    assert (rig.logs / "codex-stderr.log").exists()


@with_client
def test_a_patch_counts_as_an_edit(rig):
    patch = "*** Begin Patch\n*** Update File: kernel.py\n-chunk = 64\n+chunk = 32\n*** End Patch"

    outcome, _ = play(rig, [Scenario([Reply([Patch(patch)]), Reply([Say(CLAIM)])])])

    assert outcome.status == "edited"
    assert rig.kernel.read_text() == "chunk = 32\n"


@with_client
def test_an_agent_that_changes_no_file_did_nothing(rig):
    outcome, _ = play(rig, [Scenario([Reply([Shell("cat kernel.py")]), Reply([Say("It is optimal.")])])])

    assert (outcome.status, outcome.hypothesis) == ("nothing", "It is optimal.")


@with_client
def test_a_recovered_connection_is_no_failure(rig):
    faults = (Drop(), Drop(1), Status(500))
    scenario = Scenario([Reply([Write("kernel.py", "chunk = 1\n")], faults), Reply([Say(CLAIM)])])
    retries = ("model_providers.scripted.request_max_retries=4", "model_providers.scripted.stream_max_retries=4")

    outcome, model = play(rig, [scenario], extra_config=retries)

    assert outcome.status == "edited"
    assert [request.depth for request in model.requests] == [0, 0, 0, 0, 1]


@with_client
def test_the_models_shell_sees_no_key_and_no_variable_of_the_parent(rig, monkeypatch):
    monkeypatch.setenv("CAIRN_TEST_UNRELATED", "of the parent")

    play(rig, [Scenario([Reply([Shell("env > kernel.py")]), Reply([Say(CLAIM)])])])

    seen = {line.partition("=")[0] for line in rig.kernel.read_text().splitlines()}
    assert "CAIRN_PROCESS_TREE" in seen
    assert seen.isdisjoint({"SCRIPTED_KEY", "CAIRN_TEST_UNRELATED"})


@with_client
@with_sandbox
def test_the_sandbox_keeps_the_model_in_its_worktree(rig):
    outside = rig.folder / "outside"
    commit = "git -c user.name=a -c user.email=a@b commit -qam sly"
    script = f"echo x > kernel.py; echo y > {outside}; {commit}"
    no_temporary_folder = [
        f"sandbox_workspace_write.exclude_{what}=true" for what in ("slash_tmp", "tmpdir_env_var")
    ]

    play(rig, [Scenario([Reply([Shell(script)]), Reply([Say(CLAIM)])])], extra_config=no_temporary_folder)

    assert not outside.exists()
    assert rig.kernel.read_text() == "x\n"
    assert rig.log() == "start\n"


FAULTS = {
    "bad key": (Status(401, {"message": "Incorrect API key provided: dummy."}), "auth"),
    "quota": (Status(429, {"type": "insufficient_quota", "code": "insufficient_quota"}), "quota"),
    "usage limit": (
        Status(429, {"type": "usage_limit_reached", "plan_type": "plus", "resets_at": 1900000000}),
        "rate_limit",
    ),
    "too many": (Status(429, {"code": "rate_limit_exceeded"}, {"Retry-After": "1"}), "rate_limit"),
    "server error": (Status(500, {"message": "oops"}), "infra"),
    "dropped": (Drop(), "infra"),
    "cut": (Drop(1), "infra"),
    "no quota in the stream": (Failed("insufficient_quota", "You exceeded your current quota"), "quota"),
    "context": (Failed("context_length_exceeded", "too long"), "context"),
}


@with_client
@pytest.mark.parametrize(("fault", "reason"), FAULTS.values(), ids=FAULTS)
def test_faults_of_the_model_have_classes(rig, fault: Fault, reason):
    outcome, model = play(rig, [Scenario([fault])])

    assert (outcome.status, outcome.reason) == ("failed", reason)
    assert outcome.detail
    assert outcome.usage is None
    assert len(model.requests) == 1


@with_client
def test_a_usage_limit_says_until_when(rig):
    resets_at = int(time.time()) + 7200
    error = {"type": "usage_limit_reached", "plan_type": "plus", "resets_at": resets_at}

    outcome, _ = play(rig, [Scenario([Status(429, error)])])

    assert outcome.reason == "rate_limit"
    # the client rounds to the minute
    assert abs(outcome.retry_at.timestamp() - resets_at) <= 90


@with_client
def test_search_and_effort_reach_the_model(rig):
    scenario = edits("kernel.py", "chunk = 128\n", CLAIM)

    _, model = play(rig, [scenario], search=True, ephemeral=True, reasoning_effort="xhigh")

    (tool,) = (tool for tool in model.requests[0].body["tools"] if tool["type"] == "web_search")
    assert tool["external_web_access"] is True
    assert model.requests[0].body["reasoning"]["effort"] == "xhigh"
    assert not list((rig.folder / f"home-{model.port}").rglob("rollout-*.jsonl"))


@with_client
def test_a_cancelled_edit_ends_at_once(rig):
    started = time.monotonic()
    with ScriptedModel([Scenario([Stall()])]) as model:
        home = write_codex_home(rig.folder / "home", model.port)
        task = rig.task(cancelled=lambda: time.monotonic() > started + 1)
        outcome = driver(home).edit(task)

    assert (outcome.status, outcome.reason) == ("failed", "cancelled")
    assert time.monotonic() < started + 15


@with_client
@pytest.mark.parametrize("after_events", [0, 1], ids=["no headers", "silent stream"])
def test_a_stalled_model_is_idle(rig, after_events):
    outcome, _ = play(rig, [Scenario([Stall(after_events)])], limits=Limits(wall_s=30, idle_s=2))

    assert (outcome.status, outcome.reason) == ("failed", "idle")


@with_client
def test_a_model_that_never_ends_is_a_timeout_and_its_claim_is_kept(rig):
    turns = [Reply([Say("I try bigger chunks."), Shell("sleep 0.2")])] * 200

    outcome, _ = play(rig, [Scenario(turns)], limits=Limits(wall_s=3, idle_s=20))

    assert (outcome.status, outcome.reason) == ("failed", "timeout")
    assert outcome.hypothesis == "I try bigger chunks."


@with_client
def test_a_flood_of_events_is_cut(rig):
    turns = [Reply([Say("x" * 50_000), Shell("true")])] * 200

    outcome, _ = play(rig, [Scenario(turns)], limits=Limits(wall_s=30, max_output_bytes=200_000))

    assert (outcome.status, outcome.reason) == ("failed", "output")


@with_client
def test_a_refused_connection_ends(rig):
    with ScriptedModel([]) as model:
        port = model.port
    outcome = driver(write_codex_home(rig.folder / "home", port)).edit(rig.task())

    assert (outcome.status, outcome.reason) == ("failed", "infra")


LEAVERS = {
    "background": "bash -c 'sleep {word}; true' >/dev/null 2>&1 &",
    "own session": "setsid bash -c 'sleep {word}; true' >/dev/null 2>&1 & sleep 0.3",
    "twice forked": "(setsid bash -c 'sleep {word}; true' >/dev/null 2>&1 &); sleep 0.3",
}


@with_client
@pytest.mark.parametrize("sandbox", SANDBOXES)
@pytest.mark.parametrize("script", LEAVERS.values(), ids=LEAVERS)
def test_nothing_survives_an_edit(rig, script, sandbox):
    script = f"echo x > kernel.py; {script.format(word=rig.word)}"
    careless = '[shell_environment_policy]\ninherit = "core"\ninclude_only = ["PATH"]'

    outcome, _ = play(
        rig, [Scenario([Reply([Shell(script)]), Reply([Say(CLAIM)])])], sandbox=sandbox, config=careless
    )

    assert outcome.status == "edited"
    assert rig.survivors() == []


@with_client
@pytest.mark.parametrize("sandbox", SANDBOXES)
def test_nothing_survives_a_limit(rig, sandbox):
    script = f"setsid bash -c 'sleep {rig.word}; true' & bash -c 'trap \"\" INT TERM; sleep {rig.word}; true'"

    outcome, _ = play(rig, [Scenario([Reply([Shell(script)])])], sandbox=sandbox, limits=Limits(wall_s=3))

    assert (outcome.status, outcome.reason) == ("failed", "timeout")
    assert rig.survivors() == []
    assert sorted(path.name for path in rig.workdir.iterdir()) == [".git", "kernel.py"]


@with_client
def test_a_stale_last_message_is_not_believed(rig):
    (rig.logs / "codex-last-message.txt").write_text('{"hypothesis": "stale"}')

    outcome, _ = play(rig, [Scenario([Status(500)])])

    assert outcome.hypothesis == ""
    assert "stale" not in outcome.detail


@with_client
def test_a_setting_that_the_client_refuses_is_reported(rig):
    outcome, model = play(rig, [Scenario([])], sandbox="no-such-sandbox")

    assert (outcome.status, outcome.reason) == ("failed", "settings")
    assert "exit code 2" in outcome.detail
    assert "no-such-sandbox" in outcome.detail
    assert model.requests == []


@with_client
def test_a_missing_key_is_an_auth_failure(rig):
    home = write_codex_home(rig.folder / "home", 9)
    environment = {name: value for name, value in home.environment.items() if name != "SCRIPTED_KEY"}

    outcome = driver(home, environment=environment).edit(rig.task())

    assert (outcome.status, outcome.reason) == ("failed", "auth")


@with_client
def test_the_prompt_may_be_long_and_odd(rig):
    prompt = "make it faster; $HOME `id` 'quoted' \"twice\" ü\n" * 5000
    with ScriptedModel([edits("kernel.py", "chunk = 2\n", CLAIM)]) as model:
        home = write_codex_home(rig.folder / "home", model.port)
        outcome = driver(home).edit(rig.task(prompt=prompt))

    assert outcome.status == "edited"
    assert model.dialect.prompt(model.requests[0].body).strip() == prompt.strip()


def test_a_missing_program_is_not_found(rig):
    (rig.logs / "codex-events.jsonl").write_text(f'{{"type":"turn.failed","error":{{"message":"{CLAIM[:4]}"}}}}')

    outcome = CodexAgent("no-such-client").edit(rig.task())

    assert (outcome.status, outcome.reason) == ("failed", "not_found")
    assert "no-such-client" in outcome.detail
    assert list(rig.logs.iterdir()) == []


@pytest.mark.parametrize("shebang", ["#!/no/such/interpreter", "#!/usr/bin/env no-such-interpreter"])
def test_a_program_without_its_interpreter_is_not_found(rig, shebang):
    script = rig.folder / "codex"
    script.write_text(f"{shebang}\n")
    script.chmod(0o755)

    outcome = CodexAgent(str(script)).edit(rig.task())

    assert (outcome.status, outcome.reason) == ("failed", "not_found")


def test_a_program_that_is_not_the_client_is_not_believed(rig):
    outcome = CodexAgent("true").edit(rig.task())

    assert (outcome.status, outcome.reason) == ("failed", "agent_error")


def test_a_missing_worktree_is_the_callers_error(rig):
    task = dataclasses.replace(rig.task(), workdir=rig.folder / "gone")

    with pytest.raises(FileNotFoundError):
        CodexAgent("true").edit(task)


@with_client
def test_three_attempts_of_one_climb_play_three_scenarios(rig, monkeypatch):
    texts = ["chunk = 1\n", "chunk = 2\n", "chunk = 3\n"]
    with ScriptedModel([edits("kernel.py", text, f"I tried {text}") for text in texts]) as model:
        for name, value in write_codex_home(rig.folder / "home", model.port).environment.items():
            monkeypatch.setenv(name, value)
        for text in texts:
            outcome = CodexAgent(sandbox=SANDBOX).edit(rig.task())
            assert (outcome.status, outcome.hypothesis) == ("edited", f"I tried {text.strip()}")
            assert rig.kernel.read_text() == text

    assert model.unplayed() == []
    assert [request.scenario for request in model.requests] == [0, 0, 1, 1, 2, 2]
