"""Chrome trace events (`*.trace.json.gz`), as `jax.profiler`, xprof and other profilers write them.

The exporter of `jax.profiler` leaves out asynchronous operations and stops at a million events; what lies after that
is not in the file, and a sum over it would be wrong without a word. So a file of that size carries a note.
"""

import gzip
import zlib
from typing import Any

import msgspec

from cairn.errors import BadInput
from cairn.profile.timeline import Event, Line, Plane, Timeline

_MOST_EXPORTED = 1_000_000  # xprof: kMaxEvents of the trace viewer's JSON
_KERNEL_CATEGORIES = ("kernel", "gpu_memcpy", "gpu_memset", "gpu_op")  # torch.profiler's names
_Text = str | int | float | None


class _Row(msgspec.Struct):
    ph: str = ""
    pid: _Text = 0
    tid: _Text = 0
    name: _Text = ""
    ts: float | str = 0.0
    dur: float | str | None = None
    cat: _Text = None
    args: Any = None


class _File(msgspec.Struct):
    traceEvents: list[_Row]  # noqa: N815  # the format's own name


def read_trace_json(timeline: Timeline, data: bytes) -> None:
    """Fill a timeline from the bytes of a JSON trace, compressed or not.

    Raises:
        BadInput: cut off, not JSON, or without trace events.
    """
    rows = _rows(timeline, _unpacked(timeline, data))
    processes, threads = _names(rows)
    lines: dict[tuple[str, str], Line] = {}
    planes: dict[str, Plane] = {}
    complete = 0
    for row in rows:
        if row.ph != "X":
            continue
        complete += 1
        process, thread = str(row.pid), str(row.tid)
        line = lines.get((process, thread))
        if line is None:
            plane = planes.setdefault(process, Plane(processes.get(process, f"process {process}")))
            line = lines[process, thread] = Line(threads.get((process, thread), f"thread {thread}"))
            plane.lines.append(line)
        event = _event(row)
        if event is not None:
            line.events.append(event)
    if not complete:
        raise BadInput("no complete events (`ph`: `X`) in it", path=timeline.path, key="traceEvents")
    if complete >= _MOST_EXPORTED:
        timeline.notes.append(
            f"{complete:,} events: the exporter stops at a million, so the end is missing; use the .xplane.pb"
        )
    for line in lines.values():
        line.events.sort(key=lambda event: (event.start_us, -event.duration_us))
    timeline.planes = list(planes.values())


def _unpacked(timeline: Timeline, data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        hint = "download or copy it again"
        raise BadInput(
            f"the compressed file is damaged or cut off: {error}", path=timeline.path, hint=hint
        ) from error


def _rows(timeline: Timeline, data: bytes) -> list[_Row]:
    try:
        if data.lstrip()[:1] == b"[":  # the format allows a bare list, even one that was never closed
            text = data.rstrip().rstrip(b",")
            return msgspec.json.decode(text if text.endswith(b"]") else text + b"]", type=list[_Row])
        return msgspec.json.decode(data, type=_File).traceEvents
    except (msgspec.MsgspecError, RecursionError) as error:
        hint = "expected an object with `traceEvents`, as jax.profiler writes it"
        raise BadInput(f"not a trace: {error}", path=timeline.path, hint=hint) from error


def _names(rows: list[_Row]) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    processes: dict[str, str] = {}
    threads: dict[tuple[str, str], str] = {}
    for row in rows:
        if row.ph != "M" or not isinstance(row.args, dict):
            continue
        name = str(row.args.get("name", ""))
        if row.name == "process_name":
            processes[str(row.pid)] = name
        elif row.name == "thread_name":
            threads[str(row.pid), str(row.tid)] = name
    return processes, threads


def _event(row: _Row) -> Event | None:
    try:
        start, duration = float(row.ts), float(row.dur or 0.0)
    except ValueError:
        return None
    facts = row.args if isinstance(row.args, dict) else {}
    category = facts.get("hlo_category") or row.cat or ""
    return Event(
        _text(row.name),
        start,
        max(duration, 0.0),
        _text(category),
        _text(facts.get("step_num")),
        _text(facts.get("run_id")),
        _text(facts.get("hlo_module")),
        facts.get("hlo_op") is not None or str(row.cat).casefold() in _KERNEL_CATEGORIES,
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)
