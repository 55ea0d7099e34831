"""TensorBoard event files: scalars by tag and step, and the hyper-parameters of their plugin.

A file is a row of records: length, check of the length, data, check of the data. A file that is still written to ends
in half a record, which is not an error. Records are counted from 1; that number is the place of a fact.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path

from cairn.retro.facts import Document, Fact
from cairn.retro.ingest.protobuf import BYTES, Torn, double, fields, inner, signed, text

_DOUBLE_TYPE, _FLOAT_TYPE = 2, 1


def read_events(path: Path, document: Document, limit: int) -> None:
    """Add the scalars of an event file."""
    run = path.parent.name
    number = 0
    try:
        for number, record in enumerate(_records(path.read_bytes()), 1):
            document.facts += _event(record, document.path, run, number)
            if len(document.facts) >= limit:
                document.warnings.append(f"only the first {limit} values were read")
                return
    except (Torn, UnicodeDecodeError, struct.error, AssertionError):
        document.warnings.append(f"record {number + 1} is damaged; what comes before it was read")


def _records(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 12 <= len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        end = at + 12 + size
        if end + 4 > len(data):
            return
        yield data[at + 12 : end]
        at = end + 4


def _event(record: bytes, path: str, run: str, number: int) -> list[Fact]:
    step, found = 0, []
    for field, kind, value in fields(record):
        if field == 2:
            step = signed(value)
        elif field == 5 and kind == BYTES:
            found += [each for tag, what, each in fields(inner(value)) if tag == 1 and what == BYTES]
    return [fact for each in found for fact in _value(inner(each), path, run, number, step)]


def _value(data: bytes, path: str, run: str, number: int, step: int) -> Iterator[Fact]:
    tag, scalar, metadata = "", None, b""
    for field, kind, value in fields(data):
        if field == 1:
            tag = text(value)
        elif field == 2:
            scalar = double(value)
        elif field == 8 and kind == BYTES:
            scalar = _tensor(inner(value))
        elif field == 9 and kind == BYTES:
            metadata = inner(value)
    place = f"record {number}"
    if metadata and tag.startswith("_hparams_"):
        for name, setting in _hparams(metadata):
            number_of = setting if isinstance(setting, float) else None
            raw = _shortest(setting) if isinstance(setting, float) else str(setting)
            yield Fact(
                path, None, raw, number_of, None, name, run, "hparams", "parameters", "tensorboard", place=place
            )
    elif scalar is not None and math.isfinite(scalar) and tag:
        yield Fact(
            path,
            None,
            _shortest(scalar),
            float(_shortest(scalar)),
            None,
            tag,
            run,
            "scalars",
            "results",
            "tensorboard",
            float(step),
            place=place,
        )


def _tensor(data: bytes) -> float | None:
    """A tensor that is one number, as the newer writers store scalars."""
    kind_of, content = 0, b""
    for field, kind, value in fields(data):
        if field == 1:
            kind_of = signed(value)
        elif field in (4, 5, 6) and kind == BYTES:
            content = inner(value)
        elif field in (5, 6):
            return double(value)
    if (kind_of == _FLOAT_TYPE and len(content) == 4) or (kind_of == _DOUBLE_TYPE and len(content) == 8):
        return double(content)
    return None


def _shortest(value: float) -> str:
    """The shortest text for a number that was stored in 32 bits, as whoever logged it wrote it."""
    if not -3.4e38 < value < 3.4e38 or struct.unpack("<f", struct.pack("<f", value))[0] != value:
        return repr(value)
    texts = (f"{value:.{digits}g}" for digits in range(6, 10))
    stored = struct.pack("<f", value)
    return next((text for text in texts if struct.pack("<f", float(text)) == stored), repr(value))


def _hparams(metadata: bytes) -> Iterator[tuple[str, float | str | bool]]:
    """SummaryMetadata.plugin_data.content -> HParamsPluginData.session_start_info.hparams."""
    for path in ((1, 2, 3, 1),):
        found = [metadata]
        for step in path:
            found = [
                inner(value)
                for each in found
                for field, kind, value in fields(each)
                if field == step and kind == BYTES
            ]
        for entry in found:
            pair = {field: value for field, _, value in fields(entry)}
            for field, kind, value in fields(inner(pair.get(2, b""))):
                setting: float | str | bool = (
                    double(value) if field == 2 else text(value) if kind == BYTES else bool(value)
                )
                yield text(pair.get(1, b"")), setting
