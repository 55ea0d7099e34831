"""Start of every worker process: `python -E -s <this folder> ROLE REQUEST_FD REPLY_FD`.

`template ROLE CONTROL_FD` instead makes a process from which workers of a role are forked (`template`).

It runs in the kernel's own interpreter (standard library, numpy, jax) and never imports cairn. One role per
process: `candidate` holds an untrusted variant, `replay` its lowered program and `user` a function of the user's, all
locked in first (`confine`); `oracle` holds the frozen reference; `compiler`, `timer` and `recorder` see only
serialised programs.
Requests come and replies go over the two descriptors; stdout and stderr are a log that nobody believes.

The one broad `except` of the project is here: whatever a request raises becomes an error reply.
"""

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import threads  # type: ignore[import-not-found]  # this folder is sys.path[0]
import wire  # type: ignore[import-not-found]

Reply = tuple[dict[str, Any], list[bytes]]
_ROLES = {"candidate", "oracle", "compiler", "recorder", "replay", "timer", "user"}
_INTERPRETING = {"candidate", "user"}
_MAX_REQUEST_BYTES = 8 * 1024**3


def main() -> int:
    """Answer requests until the judge closes the pipe."""
    if sys.argv[1] == "template":
        return from_template(sys.argv[2], int(sys.argv[3]))
    role, request_fd, reply_fd = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if role not in _ROLES:
        print(f"unknown role {role!r}", file=sys.stderr)
        return 2
    with os.fdopen(request_fd, "rb") as requests, os.fdopen(reply_fd, "wb") as replies:
        if role in wire.CONFINED_ROLES and not greet(requests, replies):
            return 0
        serve(packages(role), requests, replies)
    return 0


def from_template(role: str, control_fd: int) -> int:
    """Import what a role needs, then be copied; a copy goes on as a worker of that role."""
    import confine  # type: ignore[import-not-found]  # noqa: F401  # the copies need it at once
    import template  # type: ignore[import-not-found]

    module = packages(role, template.import_ahead)
    descriptors = template.copies(control_fd)
    if descriptors is None:
        return 0
    with os.fdopen(descriptors[0], "rb") as requests, os.fdopen(descriptors[1], "wb") as replies:
        if greet(requests, replies):
            serve(module, requests, replies)
    return 0


def packages(role: str, more: Callable[[str], None] = lambda role: None) -> Any:
    """The module of a role, with jax and whatever else it imports.

    What they make stays for good, and the collector would look through it again and again: about a quarter of the
    processor time of a worker that loads and lowers a small kernel.
    """
    if role in _INTERPRETING:
        threads.room_for_callbacks()
    gc.disable()
    module = importlib.import_module(role)
    more(role)
    gc.freeze()
    gc.enable()
    return module


def greet(requests: BinaryIO, replies: BinaryIO) -> bool:
    """Answer the first request, `hello`: lock this process in and say how far; False when nobody asks.

    It happens before any variant is loaded, so the answer can only be this code's own.
    """
    import confine  # the other roles need not wait for it

    try:
        header, _ = wire.read_frame(requests, 0)
    except EOFError:
        return False
    if "folder" in header:  # this process is a copy
        import template

        template.settle(header["folder"], header["environment"])
    wire.write_frame(replies, {**confine.confine(header), "id": header.get("id")})
    return True


def serve(role: Any, requests: BinaryIO, replies: BinaryIO) -> None:
    """One request, one reply, in order. `role.handle(header, blobs)` gives a header and blobs back."""
    while True:
        try:
            header, blobs = wire.read_frame(requests, _MAX_REQUEST_BYTES)
        except EOFError:
            return
        reply, reply_blobs = answer(role, header, blobs)
        wire.write_frame(replies, {**reply, "id": header.get("id")}, reply_blobs)


def answer(role: Any, header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """What a role says to a request; what it raises becomes the `error` part of a reply."""
    reply = tried(lambda: role.handle(header, blobs))
    if not isinstance(reply, Exception):
        return reply
    told = tried(lambda: (describe(reply), []))  # words of its author's, which may raise as well
    return (_described(reply, "", ""), []) if isinstance(told, Exception) else told


def tried(act: Callable[[], Reply]) -> Reply | Exception:
    """What an act gives, or what it raised."""
    try:
        return act()
    except Exception as error:  # noqa: BLE001  # a kernel may raise anything; that is a result
        return error


def describe(error: Exception) -> dict[str, Any]:
    """The `error` part of a reply; texts are bounded."""
    return _described(error, str(error), "".join(traceback.format_exception(error)))


def _described(error: Exception, message: str, trace: str) -> dict[str, Any]:
    name = type.__dict__["__name__"].__get__(type(error))  # not what a metaclass makes of it
    return {"error": {"type": name[:200], "message": message[:20_000], "traceback": trace[-20_000:]}}


if __name__ == "__main__":
    sys.exit(main())
