"""The scripted server itself: what it answers on script and off it, and that it always ends."""

import json
import socket
import time
import urllib.error
import urllib.request

import pytest

from scripted.server import ScriptedModel
from scripted.turns import Drop, Reply, Say, Scenario, Shell, Stall, Status, edits

TOOLS = [{"type": "function", "name": "exec_command"}]
CALL = {"type": "function_call", "call_id": "c", "name": "exec_command", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "3 passed"}


def user(text):
    return {"role": "user", "content": [{"type": "input_text", "text": text}]}


def post(model, *items, conversation="one", path="/responses"):
    """Status and, for a stream, its events by name; else the error's text."""
    body = {"input": list(items), "tools": TOOLS, "prompt_cache_key": conversation}
    request = urllib.request.Request(
        f"{model.base_url}{path}", json.dumps(body).encode(), {"Authorization": "Bearer dummy"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, events(answer.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["error"].get("message")


def events(text):
    found = {}
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found[name.removeprefix("event: ")] = json.loads(data.removeprefix("data: "))
    return found


def test_turns_go_by_depth_and_a_repeated_request_gets_the_same_answer():
    with ScriptedModel([edits("a.py", "text", "done")]) as model:
        _, first = post(model, user("go"))
        _, again = post(model, user("go"))
        _, second = post(model, user("go"), CALL, RESULT)

    assert first == again
    (call,) = first["response.completed"]["response"]["output"]
    assert json.loads(call["arguments"])["cmd"].startswith("cat > a.py <<")
    assert second["response.output_text.done"]["text"] == "done"


def test_conversations_take_the_first_unused_scenario_that_wants_their_prompt():
    scenarios = [
        Scenario([Reply([Say("about b")])], when="file b"),
        Scenario([Reply([Say("any 1")])]),
        Scenario([Reply([Say("any 2")])]),
    ]
    with ScriptedModel(scenarios) as model:
        said = [
            post(model, user(text), conversation=text)[1]["response.output_text.done"]["text"]
            for text in ("file a", "file b", "file a")
        ]
        assert model.unplayed() == [2]
        assert post(model, user("c"), conversation="c")[0] == 200
        assert post(model, user("d"), conversation="d") == (400, "off script: no scenario is left for this prompt")

    assert said == ["any 1", "about b", "any 1"]
    assert [request.scenario for request in model.requests] == [1, 0, 1, 2, None]


def test_a_script_that_is_over_says_so():
    with ScriptedModel([Scenario([Reply([Shell("true")])])]) as model:
        assert post(model, user("go"), CALL, RESULT) == (400, "off script: scenario 0 has only 1 turns")


@pytest.mark.parametrize(("output", "status"), [("3 passed", 200), ("2 failed", 400)])
def test_an_expectation_looks_at_what_the_client_sent(output, status):
    turns = [Reply([Shell("pytest")]), Reply([Say("done")], expect=r"\d passed")]
    with ScriptedModel([Scenario(turns)]) as model:
        assert post(model, user("go"), CALL, {**RESULT, "output": output})[0] == status


def test_faults_come_before_the_answer():
    faults = (Status(503, {"message": "later"}), Drop(), Drop(1))
    with ScriptedModel([Scenario([Reply([Say("at last")], faults)])]) as model:
        assert post(model, user("go")) == (503, "later")
        with pytest.raises(ConnectionError):
            post(model, user("go"))
        assert list(post(model, user("go"))[1]) == ["response.created"]
        assert "response.completed" in post(model, user("go"))[1]


def test_other_paths_are_recorded_and_refused():
    with ScriptedModel([]) as model:
        assert post(model, user("go"), path="/models")[0] == 404

    assert model.requests[0].path == "/v1/models"


def test_keys_are_not_recorded():
    with ScriptedModel([edits("a", "b", "c")]) as model:
        post(model, user("go"))

    assert "dummy" not in repr(model.requests)


@pytest.mark.parametrize("after_events", [0, 1])
def test_a_stalled_answer_ends_with_the_server(after_events):
    started = time.monotonic()
    with ScriptedModel([Scenario([Stall(after_events)])]) as model:
        client = socket.create_connection(("127.0.0.1", model.port), timeout=10)
        body = b'{"input": []}'
        client.sendall(b"POST /v1/responses HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        while not model.requests and time.monotonic() < started + 10:
            time.sleep(0.02)
    with client, client.makefile("rb") as answer:
        assert (b"response.created" in answer.read()) == bool(after_events)

    assert time.monotonic() < started + 5
