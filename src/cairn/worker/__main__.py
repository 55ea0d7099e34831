"""Start of every worker process: `python -E -s <this folder> ROLE REQUEST_FD REPLY_FD`.

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
from typing import Any, BinaryIO

import wire  # type: ignore[import-not-found]  # this folder is sys.path[0]

_ROLES = {"candidate", "oracle", "compiler", "recorder", "replay", "timer", "user"}
_MAX_REQUEST_BYTES = 8 * 1024**3


def main() -> int:
    """Answer requests until the judge closes the pipe."""
    role, request_fd, reply_fd = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if role not in _ROLES:
        print(f"unknown role {role!r}", file=sys.stderr)
        return 2
    with os.fdopen(request_fd, "rb") as requests, os.fdopen(reply_fd, "wb") as replies:
        if role in wire.CONFINED_ROLES and not greet(requests, replies):
            return 0
        serve(packages(role), requests, replies)
    return 0


def packages(role: str) -> Any:
    """The module of a role, with jax and whatever else it imports.

    What they make stays for good, and the collector would look through it again and again: about a quarter of the
    processor time of a worker that loads and lowers a small kernel.
    """
    gc.disable()
    module = importlib.import_module(role)
    gc.freeze()
    gc.enable()
    return module


def greet(requests: BinaryIO, replies: BinaryIO) -> bool:
    """Answer the first request, `hello`: lock this process in and say how far; False when nobody asks.

    It happens before any package or variant is loaded, so the answer can only be this code's own.
    """
    import confine  # type: ignore[import-not-found]  # the other roles need not wait for it

    try:
        header, _ = wire.read_frame(requests, 0)
    except EOFError:
        return False
    wire.write_frame(replies, {**confine.confine(header), "id": header.get("id")})
    return True


def serve(role: Any, requests: BinaryIO, replies: BinaryIO) -> None:
    """One request, one reply, in order. `role.handle(header, blobs)` gives a header and blobs back."""
    while True:
        try:
            header, blobs = wire.read_frame(requests, _MAX_REQUEST_BYTES)
        except EOFError:
            return
        try:
            reply, reply_blobs = role.handle(header, blobs)
        except Exception as error:  # noqa: BLE001  # a kernel may raise anything; that is a result
            reply, reply_blobs = describe(error), []
        wire.write_frame(replies, {**reply, "id": header.get("id")}, reply_blobs)


def describe(error: Exception) -> dict[str, Any]:
    """Turn an exception into the `error` part of a reply; texts are bounded."""
    trace = "".join(traceback.format_exception(error))
    return {
        "error": {
            "type": type(error).__name__,
            "message": str(error)[:20_000],
            "traceback": trace[-20_000:],
        }
    }


if __name__ == "__main__":
    sys.exit(main())
