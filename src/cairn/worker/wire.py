"""The frames that judge and worker exchange, and nothing else. Standard library only: both sides import it.

A frame is `CRN1`, the length of a JSON header, the header, then the blobs whose lengths the header lists. Arrays
travel as raw C-order bytes beside `{"dtype", "shape"}`; there is no pickle, so reading a frame from an untrusted
process runs no code of its choosing. Sizes are checked before memory is taken.
"""

import json
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

# roles that hold what a variant's author wrote, as Python or lowered: they lock themselves in before they start
CONFINED_ROLES = ("candidate", "replay", "user")
# an interpreter of this name runs elsewhere (`near.py`), and this is its exit code when it lost its host
FAR_PYTHON, LOST = "far-python", 75
# what is said over a template's socket (`template.py`): words, numbers of processes (0: none) and exit codes
READY, FORK = b"ready", b"fork"
NUMBER = struct.Struct("i")
MAGIC = b"CRN1"
MAX_HEADER_BYTES = 4 * 1024 * 1024
_PREFIX = struct.Struct("<4sI")


class WireError(Exception):
    """The other side sent something that is not a frame, or closed the pipe in the middle of one."""


def write_frame(stream: BinaryIO, header: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Send one frame. `header` must be JSON; the key `blobs` is taken."""
    text = json.dumps({**header, "blobs": [len(blob) for blob in blobs]}).encode()
    stream.write(_PREFIX.pack(MAGIC, len(text)))
    stream.write(text)
    for blob in blobs:
        stream.write(blob)
    stream.flush()


def read_frame(stream: BinaryIO, max_blob_bytes: int) -> tuple[dict[str, Any], list[bytes]]:
    """Receive one frame.

    Raises:
        EOFError: the stream ended before a frame began.
        WireError: the bytes are no frame, or the blobs exceed `max_blob_bytes` in all.
    """
    prefix = stream.read(_PREFIX.size)
    if not prefix:
        raise EOFError("the other side closed the pipe")
    if len(prefix) != _PREFIX.size:
        raise WireError("the pipe closed inside a frame")
    magic, length = _PREFIX.unpack(prefix)
    if magic != MAGIC or length > MAX_HEADER_BYTES:
        raise WireError("not a frame")
    header = _header(_exactly(stream, length))
    sizes = header.pop("blobs")
    if sum(sizes) > max_blob_bytes:
        raise WireError(f"{sum(sizes)} bytes announced, at most {max_blob_bytes} allowed")
    return header, [_exactly(stream, size) for size in sizes]


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError("the header is not JSON") from error
    sizes = header.get("blobs") if isinstance(header, dict) else None
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        raise WireError("the header does not list its blobs")
    return dict(header)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise WireError("the pipe closed inside a frame")
    return data
