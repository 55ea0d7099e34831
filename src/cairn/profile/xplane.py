"""XSpace files (`*.xplane.pb`), the profiler's own format: nothing is left out and times are in picoseconds.

Only the messages that carry times and names are described here; a field that is not known is passed over by protobuf.
Source of the numbers: `xplane.proto` of the TSL profiler. An operation's category stands in the event's metadata,
which `jax.profiler.ProfileData` does not show; hence the file is read with protobuf itself.
"""

import functools
import gzip
import importlib.util
import zlib
from collections.abc import Mapping
from typing import Any

from cairn.errors import BadInput, Missing
from cairn.profile.timeline import Event, Line, Plane, Timeline

_INT64, _UINT64, _DOUBLE, _STRING, _MESSAGE = 3, 4, 1, 9, 11  # FieldDescriptorProto.Type
_ONE, _MANY = 1, 3  # FieldDescriptorProto.Label
_MESSAGES: dict[str, dict[str, tuple[int, int, int, str]]] = {
    "Space": {"planes": (1, _MESSAGE, _MANY, "Plane"), "hostnames": (4, _STRING, _MANY, "")},
    "Plane": {
        "name": (2, _STRING, _ONE, ""),
        "lines": (3, _MESSAGE, _MANY, "Line"),
        "event_metadata": (4, _MESSAGE, _MANY, "EventEntry"),
        "stat_metadata": (5, _MESSAGE, _MANY, "StatEntry"),
    },
    "EventEntry": {"key": (1, _INT64, _ONE, ""), "value": (2, _MESSAGE, _ONE, "EventMetadata")},
    "StatEntry": {"key": (1, _INT64, _ONE, ""), "value": (2, _MESSAGE, _ONE, "StatMetadata")},
    "EventMetadata": {
        "name": (2, _STRING, _ONE, ""),
        "display_name": (4, _STRING, _ONE, ""),
        "stats": (5, _MESSAGE, _MANY, "Stat"),
    },
    "StatMetadata": {"name": (2, _STRING, _ONE, "")},
    "Line": {
        "name": (2, _STRING, _ONE, ""),
        "timestamp_ns": (3, _INT64, _ONE, ""),
        "events": (4, _MESSAGE, _MANY, "Event"),
        "display_name": (11, _STRING, _ONE, ""),
    },
    "Event": {
        "metadata_id": (1, _INT64, _ONE, ""),
        "offset_ps": (2, _INT64, _ONE, ""),
        "duration_ps": (3, _INT64, _ONE, ""),
        "stats": (4, _MESSAGE, _MANY, "Stat"),
    },
    "Stat": {
        "metadata_id": (1, _INT64, _ONE, ""),
        "double_value": (2, _DOUBLE, _ONE, ""),
        "uint64_value": (3, _UINT64, _ONE, ""),
        "int64_value": (4, _INT64, _ONE, ""),
        "str_value": (5, _STRING, _ONE, ""),
        "ref_value": (7, _UINT64, _ONE, ""),
    },
}
_VALUES = ("str_value", "ref_value", "int64_value", "uint64_value", "double_value")
_WANTED = ("hlo_category", "hlo_op", "hlo_module", "run_id", "step_num")


def read_xplane(timeline: Timeline, data: bytes) -> None:
    """Fill a timeline from the bytes of an XSpace file, compressed or not.

    Raises:
        Missing: protobuf is not installed.
        BadInput: damaged, or no XSpace.
    """
    if importlib.util.find_spec("google.protobuf") is None:
        raise Missing("reading .xplane.pb files needs protobuf", hint="pip install 'kernel-cairn[profile]'")
    from google.protobuf.message import DecodeError

    try:
        raw = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        space = space_class()()
        space.ParseFromString(raw)
    except (DecodeError, OSError, EOFError, zlib.error) as error:
        hint = "download or copy it again"
        raise BadInput(f"not an XSpace file, or damaged: {error}", path=timeline.path, hint=hint) from error
    timeline.hosts = list(space.hostnames)
    timeline.planes = [_plane(plane) for plane in space.planes]
    if not timeline.size:
        raise BadInput(
            "an XSpace without events", path=timeline.path, hint="was anything run while it was recorded?"
        )


@functools.cache
def space_class() -> Any:
    """The message class of a whole file, made from the table above."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="cairn_xplane.proto", package="cairn_xplane", syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, label, inner) in fields.items():
            added = message.field.add(name=field, number=number, type=kind, label=label)
            if inner:
                added.type_name = f".cairn_xplane.{inner}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("cairn_xplane.Space"))


def _plane(plane: Any) -> Plane:
    stats = {entry.key: entry.value.name for entry in plane.stat_metadata}
    metadata = {entry.key: _metadata(entry.value, stats) for entry in plane.event_metadata}
    lines = [_line(line, metadata, stats) for line in plane.lines]
    return Plane(plane.name, [line for line in lines if line.events])


def _metadata(value: Any, stats: Mapping[int, str]) -> tuple[str, dict[str, str]]:
    """Name and facts that all events of a kind share; the name of an operation can be its whole HLO text."""
    name = value.display_name or value.name
    if name.startswith("%"):
        name = name[1:].split(" ", 1)[0]
    return name, _facts(value.stats, stats)


def _facts(values: Any, stats: Mapping[int, str]) -> dict[str, str]:
    found = {}
    for value in values:
        name = stats.get(value.metadata_id)
        if name in _WANTED:
            kind = next((each for each in _VALUES if getattr(value, each)), "int64_value")
            content = getattr(value, kind)
            found[name] = stats.get(content, "") if kind == "ref_value" else str(content)
    return found


def _line(line: Any, metadata: Mapping[int, tuple[str, dict[str, str]]], stats: Mapping[int, str]) -> Line:
    base_us = line.timestamp_ns / 1e3
    events = []
    for each in line.events:
        name, shared = metadata.get(each.metadata_id, (f"event {each.metadata_id}", {}))
        facts = {**shared, **_facts(each.stats, stats)} if each.stats else shared
        events.append(
            Event(
                name,
                base_us + each.offset_ps / 1e6,
                max(each.duration_ps, 0) / 1e6,
                facts.get("hlo_category", ""),
                facts.get("step_num", ""),
                facts.get("run_id", ""),
                facts.get("hlo_module", ""),
                "hlo_op" in facts,
            )
        )
    events.sort(key=lambda event: (event.start_us, -event.duration_us))
    return Line(line.display_name or line.name, events)
