"""W&B runs on disk: the `.wandb` log of an offline run, record by record.

The log has LevelDB's framing (blocks of 32 KiB, each record whole or in pieces) behind a header of seven bytes. What
a synced run leaves beside it (`config.yaml`, `wandb-summary.json`) is text and read as such.
"""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path

from cairn.retro.facts import Document, Fact
from cairn.retro.ingest.protobuf import BYTES, Torn, double, fields, inner, signed, text

_BLOCK, _HEADER = 32768, 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_HISTORY, _SUMMARY, _CONFIG, _RUN = 2, 3, 5, 17


def read_wandb(path: Path, document: Document, limit: int) -> None:
    """Add the history, summary and configuration of one run."""
    data = path.read_bytes()
    if data[:4] != b":W&B":
        document.warnings.append("not a W&B log")
        return
    run, number, step = path.stem.removeprefix("run-"), 0, 0
    try:
        for number, record in enumerate(_records(data), 1):
            for field, kind, value in fields(record):
                if kind != BYTES:
                    continue
                if field == _RUN:
                    run = _run_name(inner(value), run)
                if field in (_HISTORY, _SUMMARY, _CONFIG, _RUN):
                    document.facts += _facts(field, inner(value), document.path, run, number, step)
                    step += field == _HISTORY
            if len(document.facts) >= limit:
                document.warnings.append(f"only the first {limit} values were read")
                return
    except (Torn, struct.error, AssertionError):
        document.warnings.append(f"record {number + 1} is damaged; what comes before it was read")


def _records(data: bytes) -> Iterator[bytes]:
    at, pieces = _HEADER, b""
    while at + _HEADER <= len(data):
        if _BLOCK - at % _BLOCK < _HEADER:  # too little room for a header: the block is padded
            at += _BLOCK - at % _BLOCK
            continue
        size, kind = struct.unpack_from("<HB", data, at + 4)
        piece = data[at + _HEADER : at + _HEADER + size]
        if len(piece) < size or kind not in (_FULL, _FIRST, _MIDDLE, _LAST):
            return
        at += _HEADER + size
        pieces = piece if kind in (_FULL, _FIRST) else pieces + piece
        if kind in (_FULL, _LAST):
            yield pieces
            pieces = b""


def _run_name(record: bytes, known: str) -> str:
    named = {field: text(value) for field, kind, value in fields(record) if field in (1, 8) and kind == BYTES}
    return named.get(8) or named.get(1) or known


def _facts(kind: int, record: bytes, path: str, run: str, number: int, step: int) -> Iterator[Fact]:
    if kind == _RUN:
        for field, _, value in fields(record):
            if field == 4:
                yield from _facts(_CONFIG, inner(value), path, run, number, step)
        return
    found = []
    for field, wire, value in fields(record):
        if kind == _HISTORY and field == 2 and wire == BYTES:
            step = next((signed(each) for name, _, each in fields(inner(value)) if name == 1), step)
        elif field == 1 and wire == BYTES:
            found.append(_item(inner(value)))
    step = next((int(value) for name, value in found if name == "_step" and isinstance(value, float)), step)
    section = "parameters" if kind == _CONFIG else "results"
    group = {_HISTORY: "history", _SUMMARY: "summary", _CONFIG: "config"}[kind]
    for name, stated in found:
        if name and not name.startswith("_"):
            yield from _leaves(name, stated, Fact(path, None, "", None, None, name, run, group, section, "wandb",
                               float(step) if kind == _HISTORY else None, place=f"record {number}"))  # fmt: skip


def _item(data: bytes) -> tuple[str, object]:
    """Key and value of one item; the value is JSON in older logs and typed in newer ones."""
    key, nested, value = "", [], None
    for field, wire, each in fields(data):
        if field == 1:
            key = text(each)
        elif field == 2:
            nested.append(text(each))
        elif field in (8, 16):
            value = _json(text(each))
        elif field == 4:
            value = bool(each)
        elif field == 5:
            value = float(signed(each))
        elif field == 6:
            value = double(each)
        elif field == 7 and wire == BYTES:
            value = text(each)
    return key or ".".join(nested), value


def _json(written: str) -> object:
    try:
        value = json.loads(written)
    except (ValueError, RecursionError):
        return written
    return (
        float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**1000 else value
    )


def _leaves(name: str, value: object, like: Fact) -> Iterator[Fact]:
    """Numbers and short words of a value, which may be nested."""
    waiting: list[tuple[str, object]] = [(name, value)]
    while waiting:
        key, each = waiting.pop()
        if isinstance(each, dict):
            inside = each.get("value", each) if set(each) <= {"value", "desc"} else each
            waiting += (
                [(key, inside)]
                if inside is not each
                else [(f"{key}.{k}", v) for k, v in each.items() if k[:1] != "_"]
            )
        elif isinstance(each, str) and 0 < len(each) <= 80:
            yield _with(like, key, each, None)
        elif isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each):
            yield _with(
                like, key, repr(int(each) if each == int(each) and abs(each) < 1e15 else each), float(each)
            )


def _with(like: Fact, name: str, raw: str, value: float | None) -> Fact:
    return Fact(
        like.path,
        None,
        raw,
        value,
        None,
        name,
        like.run,
        like.group,
        like.section,
        like.shape,
        like.step,
        place=like.place,
    )
