"""What the scripted server asks of an API: read its requests, render a model's actions as its answers."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from scripted.turns import Failed, Reply

Body = Mapping[str, Any]
Event = tuple[str, dict[str, Any]]


class Dialect(ABC):
    """One vendor's API over HTTP and server-sent events."""

    @abstractmethod
    def wants(self, path: str) -> bool:
        """Whether a POST to this path is a turn of a conversation."""

    def aside(self, method: str, path: str, body: Body) -> bytes | None:
        """The answer to what is no turn (a count of tokens, a title); None for everything else."""
        return None

    @abstractmethod
    def conversation(self, body: Body) -> str:
        """What stays the same over all requests of one conversation."""

    @abstractmethod
    def depth(self, body: Body) -> int:
        """Number of turns of the model that the request holds."""

    @abstractmethod
    def prompt(self, body: Body) -> str:
        """The user's words before the model's first."""

    @abstractmethod
    def visible(self, body: Body) -> str:
        """Everything the model may read."""

    @abstractmethod
    def stream(self, body: Body, reply: Reply) -> Iterator[Event]:
        """A whole successful answer."""

    @abstractmethod
    def failure(self, body: Body, fault: Failed) -> Iterator[Event]:
        """An answer that begins well and fails."""

    def encode(self, number: int, event: Event) -> bytes:
        """One server-sent event."""
        name, payload = event
        return f"event: {name}\ndata: {json.dumps({'type': name, **payload})}\n\n".encode()

    def error(self, code: int, error: Mapping[str, object]) -> bytes:
        """The body of an answer with an error status."""
        return json.dumps({"error": dict(error)}).encode()


def heredoc(command: str, text: str) -> str:
    """A shell command that gives `text` to `command`."""
    return f"{command} <<'END_OF_SCRIPTED_TEXT'\n{text.removesuffix(chr(10))}\nEND_OF_SCRIPTED_TEXT"


def text_of(content: object) -> str:
    """The text of a message, whether it is a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(text_of(part.get("text", part.get("content", ""))) for part in content if part)
    return json.dumps(content)
