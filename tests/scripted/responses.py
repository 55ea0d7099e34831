"""The Responses API as a client of it needs it: read its requests, render actions as server-sent events."""

import itertools
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scripted.dialect import Body, Dialect, Event, heredoc
from scripted.turns import Action, Failed, Patch, Reply, Say, Shell, Write

_MADE_BY_MODEL = {"function_call", "custom_tool_call", "local_shell_call", "reasoning"}


class ResponsesDialect(Dialect):
    """`POST .../responses` with `stream: true`."""

    def wants(self, path: str) -> bool:
        return path.partition("?")[0] == "/v1/responses"

    def encode(self, number: int, event: Event) -> bytes:
        return super().encode(number, (event[0], {"sequence_number": number, **event[1]}))

    def conversation(self, body: Body) -> str:
        """What stays the same over all requests of one conversation."""
        return str(body.get("prompt_cache_key") or self.prompt(body))

    def depth(self, body: Body) -> int:
        """Number of assistant turns in the request: runs of items that a model made."""
        made = [False, *(_made_by_model(item) for item in body["input"])]
        return sum(now and not before for before, now in itertools.pairwise(made))

    def prompt(self, body: Body) -> str:
        """The last user message before the model's first word."""
        prompt = ""
        for item in body["input"]:
            if _made_by_model(item):
                break
            if item.get("role") == "user":
                prompt = _text(item)
        return prompt

    def visible(self, body: Body) -> str:
        """Everything the model may read, one item after the other."""
        return "\n".join([str(body.get("instructions", "")), *map(_text, body["input"])])

    def stream(self, body: Body, reply: Reply) -> Iterator[Event]:
        """A whole successful answer."""
        tools = _offered_tools(body)
        items = [_item(action, tools, f"{self.depth(body)}_{n}") for n, action in enumerate(reply.actions)]
        yield self._created(body)
        for index, item in enumerate(items):
            yield from _item_events(index, item)
        yield "response.completed", {"response": _response(body, "completed", items, _usage(reply))}

    def failure(self, body: Body, fault: Failed) -> Iterator[Event]:
        """An answer that begins well and fails."""
        yield self._created(body)
        response = {
            **_response(body, "failed", [], None),
            "error": {"code": fault.code, "message": fault.message},
        }
        yield "response.failed", {"response": response}

    def _created(self, body: Body) -> Event:
        return "response.created", {"response": _response(body, "in_progress", [], None)}


def _made_by_model(item: Mapping[str, Any]) -> bool:
    return item.get("role") == "assistant" or item.get("type") in _MADE_BY_MODEL


def _text(item: Mapping[str, Any]) -> str:
    content = item.get("content", item.get("output", ""))
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else json.dumps(content)


def _offered_tools(body: Body) -> set[str]:
    """Names of the tools of the request; newer models get them inside an input item."""
    pending: list[Any] = [body.get("tools"), *(i.get("tools") for i in body["input"] if "tools" in i)]
    names = set()
    while pending:
        tool = pending.pop()
        if isinstance(tool, list):
            pending += tool
        elif isinstance(tool, dict):
            names.add(str(tool.get("name", tool.get("type"))))
            pending.append(tool.get("tools"))
    return names


def _item(action: Action, tools: set[str], number: str) -> dict[str, Any]:
    match action:
        case Say(text):
            part = {"type": "output_text", "text": text, "annotations": []}
            return {"type": "message", "id": f"msg_{number}", "role": "assistant", "content": [part]}
        case Patch(text) if "apply_patch" in tools:
            return _custom_call("apply_patch", text, number)
        case Patch(text):
            return _shell(heredoc("apply_patch", text), tools, number)
        case Write(path, text):
            return _shell(heredoc(f"cat > {shlex.quote(path)}", text), tools, number)
        case Shell(command):
            return _shell(command, tools, number)


def _shell(command: str, tools: set[str], number: str) -> dict[str, Any]:
    if "exec_command" in tools:
        return _function_call("exec_command", {"cmd": command}, number)
    if "shell_command" in tools:
        return _function_call("shell_command", {"command": command}, number)
    if "shell" in tools:
        return _function_call("shell", {"command": ["bash", "-lc", command]}, number)
    if "exec" in tools:  # the model writes JavaScript that calls the tools
        return _custom_call("exec", f"text(await tools.exec_command({json.dumps({'cmd': command})}))", number)
    raise LookupError(f"the client offers no shell tool: {sorted(tools)}")


def _function_call(name: str, arguments: Mapping[str, object], number: str) -> dict[str, Any]:
    ids = {"id": f"fc_{number}", "call_id": f"call_{number}"}
    return {"type": "function_call", **ids, "name": name, "arguments": json.dumps(arguments)}


def _custom_call(name: str, text: str, number: str) -> dict[str, Any]:
    ids = {"id": f"ctc_{number}", "call_id": f"call_{number}"}
    return {"type": "custom_tool_call", **ids, "name": name, "input": text}


def _item_events(index: int, item: dict[str, Any]) -> Iterator[Event]:
    where = {"item_id": item["id"], "output_index": index, "content_index": 0}
    hollow = {"content": []} if item["type"] == "message" else {}
    begun = {**item, **hollow, "status": "in_progress"}
    yield "response.output_item.added", {"output_index": index, "item": begun}
    if item["type"] == "message":
        (part,) = item["content"]
        yield "response.content_part.added", {**where, "part": {**part, "text": ""}}
        yield "response.output_text.delta", {**where, "delta": part["text"]}
        yield "response.output_text.done", {**where, "text": part["text"]}
        yield "response.content_part.done", {**where, "part": part}
    yield "response.output_item.done", {"output_index": index, "item": {**item, "status": "completed"}}


def _response(
    body: Body, status: str, output: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None
) -> dict[str, Any]:
    fixed = {"id": "resp_scripted", "object": "response", "created_at": 0, "model": body.get("model", "")}
    return {**fixed, "status": status, "output": list(output), "usage": usage}


def _usage(reply: Reply) -> dict[str, Any]:
    return {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }
