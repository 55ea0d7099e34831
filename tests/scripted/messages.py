"""The Messages API as Claude Code needs it: `POST /v1/messages` with `stream: true`."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from scripted.dialect import Body, Dialect, Event, heredoc, text_of
from scripted.turns import Action, Failed, Patch, Reply, Say, Shell, Write


class MessagesDialect(Dialect):
    """Plays the model of Claude Code."""

    def wants(self, path: str) -> bool:
        return path.partition("?")[0] == "/v1/messages"

    def aside(self, method: str, path: str, body: Body) -> bytes | None:
        bare = path.partition("?")[0]
        if bare == "/v1/messages/count_tokens":
            return b'{"input_tokens": 100}'
        if bare == "/v1/messages" and not body.get("tools"):  # a title, a summary
            return json.dumps(_message(body, [{"type": "text", "text": "scripted"}], "end_turn")).encode()
        return b"" if method == "HEAD" else None

    def conversation(self, body: Body) -> str:
        return str((body.get("metadata") or {}).get("user_id") or self.prompt(body))

    def depth(self, body: Body) -> int:
        return sum(message["role"] == "assistant" for message in body["messages"])

    def prompt(self, body: Body) -> str:
        words = []
        for message in body["messages"]:
            if message["role"] == "assistant":
                break
            words.append(text_of(message["content"]))
        return "\n".join(words)

    def visible(self, body: Body) -> str:
        return "\n".join([text_of(body.get("system", "")), *(text_of(m["content"]) for m in body["messages"])])

    def stream(self, body: Body, reply: Reply) -> Iterator[Event]:
        blocks = [_block(action, f"{self.depth(body)}_{n}") for n, action in enumerate(reply.actions)]
        stop = "tool_use" if any(block["type"] == "tool_use" for block in blocks) else "end_turn"
        begun = {**_message(body, [], None), "usage": _usage(reply.input_tokens, 1)}
        yield "message_start", {"message": begun}
        for index, block in enumerate(blocks):
            yield from _block_events(index, block)
        usage = {"output_tokens": reply.output_tokens}
        yield "message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage}
        yield "message_stop", {}

    def failure(self, body: Body, fault: Failed) -> Iterator[Event]:
        yield "message_start", {"message": _message(body, [], None)}
        yield "error", {"error": {"type": fault.code, "message": fault.message}}

    def error(self, code: int, error: Mapping[str, object]) -> bytes:
        return json.dumps(
            {"type": "error", "error": {"type": "api_error", "message": "scripted", **error}}
        ).encode()


def _message(body: Body, content: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
    turn = sum(message["role"] == "assistant" for message in body["messages"])
    # the client takes messages of one id for one message
    fixed = {"id": f"msg_{turn}", "type": "message", "role": "assistant", "model": body.get("model", "")}
    return {**fixed, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": _usage(1, 1)}


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, **cache}


def _block(action: Action, number: str) -> dict[str, Any]:
    match action:
        case Say(text):
            return {"type": "text", "text": text}
        case Shell(command):
            return _bash(command, number)
        case Write(path, text):
            return _bash(heredoc(f"cat > {shlex.quote(path)}", text), number)
        case Patch():
            raise LookupError("this client has no patch tool")


def _bash(command: str, number: str) -> dict[str, Any]:
    arguments = {"command": command, "description": "scripted"}
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "Bash", "input": arguments}


def _block_events(index: int, block: dict[str, Any]) -> Iterator[Event]:
    if block["type"] == "text":
        hollow, delta = {**block, "text": ""}, {"type": "text_delta", "text": block["text"]}
    else:
        hollow = {**block, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    yield "content_block_start", {"index": index, "content_block": hollow}
    yield "content_block_delta", {"index": index, "delta": delta}
    yield "content_block_stop", {"index": index}
