"""Gemini's API as its command line client needs it: `POST .../MODEL:streamGenerateContent?alt=sse`."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from scripted.dialect import Body, Dialect, Event, heredoc
from scripted.turns import Action, Failed, Patch, Reply, Say, Shell, Write


class GenerateContentDialect(Dialect):
    """Plays the model of the Gemini CLI."""

    def wants(self, path: str) -> bool:
        return ":streamGenerateContent" in path

    def aside(self, method: str, path: str, body: Body) -> bytes | None:
        if ":countTokens" in path:
            return b'{"totalTokens": 100}'
        if ":generateContent" in path or (self.wants(path) and not body.get("tools")):  # a router, a summary
            event = "", _chunk([{"text": "{}"}], "STOP", Reply([]))
            return self.encode(0, event) if self.wants(path) else json.dumps(event[1]).encode()
        return None

    def conversation(self, body: Body) -> str:
        return self.prompt(body)

    def depth(self, body: Body) -> int:
        return sum(content["role"] == "model" for content in body["contents"])

    def prompt(self, body: Body) -> str:
        words = []
        for content in body["contents"]:
            if content["role"] == "model":
                break
            words.append(_text(content))
        return "\n".join(words)

    def visible(self, body: Body) -> str:
        return "\n".join([json.dumps(body.get("systemInstruction", "")), *map(_text, body["contents"])])

    def stream(self, body: Body, reply: Reply) -> Iterator[Event]:
        parts = [_part(action) for action in reply.actions]
        yield "", _chunk(parts, "STOP", reply)

    def failure(self, body: Body, fault: Failed) -> Iterator[Event]:
        yield "", {"error": {"code": 500, "status": fault.code, "message": fault.message}}

    def encode(self, number: int, event: Event) -> bytes:
        return f"data: {json.dumps(event[1])}\n\n".encode()

    def error(self, code: int, error: Mapping[str, object]) -> bytes:
        return json.dumps({"error": {"code": code, "message": "scripted", "status": "UNKNOWN", **error}}).encode()


def _text(content: Mapping[str, Any]) -> str:
    return "\n".join(str(part.get("text") or json.dumps(part)) for part in content.get("parts", ()))


def _part(action: Action) -> dict[str, Any]:
    match action:
        case Say(text):
            return {"text": text}
        case Shell(command):
            return _shell(command)
        case Write(path, text):
            return _shell(heredoc(f"cat > {shlex.quote(path)}", text))
        case Patch():
            raise LookupError("this client has no patch tool")


def _shell(command: str) -> dict[str, Any]:
    return {"functionCall": {"name": "run_shell_command", "args": {"command": command, "description": "scripted"}}}


def _chunk(parts: list[dict[str, Any]], reason: str, reply: Reply) -> dict[str, Any]:
    counts = {"promptTokenCount": reply.input_tokens, "candidatesTokenCount": reply.output_tokens}
    total = {"totalTokenCount": reply.input_tokens + reply.output_tokens}
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}
    return {"candidates": [candidate], "usageMetadata": {**counts, **total}}
