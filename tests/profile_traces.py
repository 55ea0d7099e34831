"""Traces as devices write them: a description of lines and events, stored as JSON and as XSpace."""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cairn.profile.xplane import space_class


class Op(NamedTuple):
    """One event: times in microseconds, facts as the profiler names them."""

    name: str
    start: float
    length: float
    facts: Mapping[str, str] = {}


Planes = Mapping[str, Mapping[str, Iterable[Op]]]


def tpu_steps(
    count: int, *, kernel_us: float = 40.0, period_us: float = 120.0, module: str = "jit_step(17)"
) -> Planes:
    """`count` steps on a TPU: a copy, a loop of two products, a kernel, then 20 us of nothing."""
    ops, modules = [], []
    for step in range(count):
        at = 1000.0 + step * period_us
        ops += [
            Op("copy.1", at, 10, {"hlo_category": "data formatting"}),
            Op("while.2", at + 10, 50, {"hlo_category": "while"}),
            Op("fusion.3", at + 12, 20, {"hlo_category": "convolution fusion"}),
            Op("fusion.3", at + 34, 20, {"hlo_category": "convolution fusion"}),
            Op("gdn_fwd.4", at + 60, kernel_us, {"hlo_category": "custom-call"}),
        ]
        modules.append(Op(module, at, 60 + kernel_us, {"run_id": str(step)}))
    return {"/device:TPU:0": {"XLA Modules": modules, "XLA Ops": ops}}


def as_json(path: Path, planes: Planes) -> Path:
    """Store as `.trace.json.gz`."""
    rows: list[dict[str, Any]] = []
    for pid, (plane, lines) in enumerate(planes.items(), 3):
        rows.append({"ph": "M", "pid": pid, "name": "process_name", "args": {"name": plane}})
        for tid, (line, ops) in enumerate(lines.items(), 1):
            rows.append({"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": line}})
            for op in ops:
                row = {"ph": "X", "pid": pid, "tid": tid, "name": op.name, "ts": op.start, "dur": op.length}
                rows.append({**row, "args": dict(op.facts)})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps({"displayTimeUnit": "ns", "traceEvents": rows}).encode()))
    return path


def as_xplane(path: Path, planes: Planes) -> Path:
    """Store as `.xplane.pb`, an operation's category in its metadata and its name as HLO text, as a TPU does."""
    space = space_class()()
    space.hostnames.append("host-0")
    for name, lines in planes.items():
        plane = space.planes.add(name=name)
        stats: dict[str, int] = {}
        known: dict[str, int] = {}

        def stat(owner: Any, key: str, value: str, plane: Any = plane, stats: dict[str, int] = stats) -> None:
            if key not in stats:
                stats[key] = len(stats) + 1
                plane.stat_metadata.add(key=stats[key]).value.name = key
            owner.stats.add(metadata_id=stats[key], str_value=value)

        for line_name, ops in lines.items():
            line = plane.lines.add(name=line_name, timestamp_ns=500)
            for op in ops:
                if op.name not in known:
                    known[op.name] = len(known) + 1
                    entry = plane.event_metadata.add(key=known[op.name])
                    entry.value.name = f"%{op.name} = bf16[8,128] fusion(%x)" if "." in op.name else op.name
                    if "hlo_category" in op.facts:
                        stat(entry.value, "hlo_category", op.facts["hlo_category"])
                offset_ps = round((op.start - 0.5) * 1e6)
                event = line.events.add(metadata_id=known[op.name], offset_ps=offset_ps)
                event.duration_ps = round(op.length * 1e6)
                for key, value in op.facts.items():
                    if key != "hlo_category":
                        stat(event, key, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(space.SerializeToString())
    return path
