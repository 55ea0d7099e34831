"""The Chat Completions API as opencode needs it: `POST /v1/chat/completions` with `stream: true`."""

import json
import shlex
from collections.abc import Iterator
from typing import Any

from scripted.dialect import Body, Dialect, Event, heredoc, text_of
from scripted.turns import Action, Failed, Patch, Reply, Say, Shell, Write


class ChatDialect(Dialect):
    """Plays the model of opencode."""

    def wants(self, path: str) -> bool:
        return path.partition("?")[0] == "/v1/chat/completions"

    def aside(self, method: str, path: str, body: Body) -> bytes | None:
        if self.wants(path) and not body.get("tools"):  # a title
            events = [*self.stream(body, Reply([Say("scripted")]))]
            return b"".join(self.encode(number, event) for number, event in enumerate(events))
        return None

    def conversation(self, body: Body) -> str:
        return self.prompt(body)

    def depth(self, body: Body) -> int:
        return sum(message["role"] == "assistant" for message in body["messages"])

    def prompt(self, body: Body) -> str:
        words = []
        for message in body["messages"]:
            if message["role"] == "assistant":
                break
            if message["role"] == "user":
                words.append(text_of(message["content"]))
        return "\n".join(words)

    def visible(self, body: Body) -> str:
        return "\n".join(text_of(message.get("content") or "") for message in body["messages"])

    def stream(self, body: Body, reply: Reply) -> Iterator[Event]:
        calls = 0
        for number, action in enumerate(reply.actions):
            delta = _delta(action, f"{self.depth(body)}_{number}", calls)
            calls += "tool_calls" in delta
            yield "", _chunk(body, {"role": "assistant", **delta}, None)
        finished = _chunk(body, {}, "tool_calls" if calls else "stop")
        counts = {"prompt_tokens": reply.input_tokens, "completion_tokens": reply.output_tokens}
        total = {"total_tokens": reply.input_tokens + reply.output_tokens}
        yield "", {**finished, "usage": {**counts, **total}}

    def failure(self, body: Body, fault: Failed) -> Iterator[Event]:
        yield "", {"error": {"code": fault.code, "message": fault.message}}

    def encode(self, number: int, event: Event) -> bytes:
        done = b"data: [DONE]\n\n" if event[1].get("usage") else b""
        return f"data: {json.dumps(event[1])}\n\n".encode() + done


def _delta(action: Action, number: str, index: int) -> dict[str, Any]:
    match action:
        case Say(text):
            return {"content": text}
        case Shell(command):
            return _bash(command, number, index)
        case Write(path, text):
            return _bash(heredoc(f"cat > {shlex.quote(path)}", text), number, index)
        case Patch():
            raise LookupError("this client has no patch tool")


def _bash(command: str, number: str, index: int) -> dict[str, Any]:
    function = {"name": "bash", "arguments": json.dumps({"command": command, "description": "scripted"})}
    return {"tool_calls": [{"index": index, "id": f"call_{number}", "type": "function", "function": function}]}


def _chunk(body: Body, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    fixed = {"id": "chatcmpl_scripted", "object": "chat.completion.chunk", "created": 0}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {**fixed, "model": body.get("model", ""), "choices": [choice]}
