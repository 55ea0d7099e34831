"""What a scripted model does, in words that no single client owns.

A scenario is a list of turns for one conversation. Turn number n answers the request that already holds n
assistant turns, so a client that repeats a request gets the same answer, and a new conversation begins at 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Say:
    """A message to the user; a reply of messages only ends the client's turn."""

    text: str


@dataclass(frozen=True)
class Shell:
    """Run a command with whichever shell tool the client offers."""

    command: str


@dataclass(frozen=True)
class Write:
    """Write a whole file, through the shell, so that it works with every client."""

    path: str
    text: str


@dataclass(frozen=True)
class Patch:
    """Apply a patch (`*** Begin Patch` ...) with the client's patch tool."""

    text: str


Action = Say | Shell | Write | Patch


@dataclass(frozen=True)
class Status:
    """Answer with an HTTP status instead of a stream."""

    code: int
    error: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """Close the connection after this many events; 0: without even a status line."""

    after_events: int = 0


@dataclass(frozen=True)
class Stall:
    """Fall silent after this many events, until the server is closed; 0: without even a status line."""

    after_events: int = 1


@dataclass(frozen=True)
class Failed:
    """Begin a stream and end it with a failure of the model."""

    code: str
    message: str


Fault = Status | Drop | Stall | Failed


@dataclass(frozen=True)
class Reply:
    """One turn of the model.

    Args:
        actions: what it does, in order.
        faults: what happens to the first tries of this turn, before one is answered.
        expect: a regular expression that the text which the client sent must match; else the answer is 400.
        input_tokens, output_tokens: what the client is told that the turn took.
    """

    actions: Sequence[Action]
    faults: Sequence[Fault] = ()
    expect: str = ""
    input_tokens: int = 100
    output_tokens: int = 10


@dataclass(frozen=True)
class Scenario:
    """The turns of one conversation: the first unused scenario whose `when` is found in its prompt."""

    turns: Sequence[Reply | Fault]
    when: str = ""


def edits(path: str, text: str, last_message: str, *, when: str = "") -> Scenario:
    """The common case: write one file, then say something and stop."""
    return Scenario([Reply([Write(path, text)]), Reply([Say(last_message)])], when)
