"""Protocol-buffer messages without their schema: enough to read the logs of TensorBoard and W&B.

Both write framed protobuf. Their own readers come with 60 to 100 MB of packages, and W&B has moved its Python one into
another language; the wire format is fixed for good, and the few field numbers we need are part of the files' formats.
"""

import struct
from collections.abc import Iterator

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5
Field = tuple[int, int, int | bytes]


class Torn(Exception):
    """The message ends before a field does."""


def fields(data: bytes) -> Iterator[Field]:
    """Field number, wire type and value of every field in order.

    Raises:
        Torn: the bytes are cut off, or no message at all.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = _varint(data, at)
        elif kind in (DOUBLE, FLOAT, BYTES):
            size, at = (8, at) if kind == DOUBLE else (4, at) if kind == FLOAT else _varint(data, at)
            if at + size > len(data):
                raise Torn
            value, at = data[at : at + size], at + size
        else:
            raise Torn
        yield key >> 3, kind, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    raise Torn


def double(value: int | bytes) -> float:
    """A field of wire type DOUBLE or FLOAT as a number."""
    assert isinstance(value, bytes)
    return float(struct.unpack("<d" if len(value) == 8 else "<f", value)[0])


def signed(value: int | bytes) -> int:
    """A varint as int64."""
    assert isinstance(value, int)
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value


def text(value: int | bytes) -> str:
    """A field of wire type BYTES as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def inner(value: int | bytes) -> bytes:
    """A field of wire type BYTES; anything else is no message.

    Raises:
        Torn: it is a number.
    """
    if not isinstance(value, bytes):
        raise Torn
    return value
