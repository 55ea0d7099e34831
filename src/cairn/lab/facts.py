"""What the compiler's own output says about each kernel, before any model: slots, spills, buffers, copies.

Counts are of the program text: a bundle in a loop counts once. How often it runs is the model's business
(`cairn.lab.profile`).
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cairn.lab.chip import Chip
from cairn.lab.dumps import Dump, Sources

_COPY = re.compile(r"= dma\.(?P<direction>[a-z_]+) (?P<rest>[^;\n]*)")
_GRANULES = re.compile(r"size_in_granules=\*/(?P<count>\d+)")
_BUNDLE = re.compile(r"^ *(0x[0-9a-f]+|0) +[A-Z, ]*:", re.MULTILINE)
_BUFFERS = re.compile(r"has (\d+) buffering levels")
_WINDOW = re.compile(
    r"(?P<what>(?:input|output) window).*?(?P<index>\d+)\. The window shape is (?P<shape>\S+?),? "
)
_SPILL, _FILL = "VSTORE:SPILL", "VLOAD:FILL"
UNITS = {
    "MATMUL": "matrix multiply",
    "MATPUSH": "matrix weights",
    "XLU": "cross-lane",
    "VALU": "vector arithmetic",
    "VPOP": "result pops",
    "EUP": "transcendental",
    "VLOAD": "vector loads",
    "VSTORE": "vector stores",
    "SALU": "scalar",
}


@dataclass(frozen=True)
class Buffer:
    """A block of vector memory, all its copies together. `what`: whose it is, in the compiler's or our words."""

    what: str
    shape: str
    bytes: int
    buffers: int


@dataclass(frozen=True)
class Copy:
    """A copy that the program text starts. `bytes` is None where the size is computed."""

    direction: str
    bytes: int | None
    source: str | None


@dataclass(frozen=True)
class SlotTable:
    """The compiler's table of slots: capacity by unit, and for each bundle how many it uses."""

    units: tuple[str, ...]
    capacity: tuple[int, ...]
    rows: tuple[tuple[int, ...], ...]

    def column(self, unit: str) -> list[int]:
        """Slots used in each bundle; zeros for a unit that the table has not."""
        if unit not in self.units:
            return [0] * len(self.rows)
        index = self.units.index(unit)
        return [row[index] for row in self.rows]


@dataclass(frozen=True)
class KernelFacts:
    """One instruction that has a program of its own.

    `unit_use`: share of each unit's slots that the text fills. `spills` and `fills`: vector registers stored to and
    loaded from memory because there were too few. `vmem_bytes`: scoped vector memory, None when it is not told.
    """

    name: str
    bundles: int
    spills: int
    fills: int
    unit_use: Mapping[str, float] = field(default_factory=dict)
    vmem_bytes: int | None = None
    buffers: tuple[Buffer, ...] = ()
    copies: tuple[Copy, ...] = ()


def facts_of(dump: Dump, name: str, chip: Chip) -> KernelFacts:
    """Read what there is about one instruction; parts of unknown form are left out."""
    text = dump.bundles.get(name, "")
    table = slots_of(dump.utilisation.get(name, ""))
    vmem_bytes, buffers = vmem_of(dump.vmem, name)
    return KernelFacts(
        name=name,
        bundles=sum(1 for _ in _BUNDLE.finditer(text)),
        spills=sum(table.column(_SPILL)),
        fills=sum(table.column(_FILL)),
        unit_use=_use(table),
        vmem_bytes=vmem_bytes,
        buffers=buffers,
        copies=copies_of(text, dump.sources.get(name), chip),
    )


def slots_of(text: str) -> SlotTable:
    """The table of slots; empty when it has not the known form."""
    lines = text.splitlines()
    try:
        head = next(index for index, line in enumerate(lines) if line.startswith("MATMUL"))
        units = tuple(word.strip() for word in lines[head].split(","))
        capacity = tuple(int(word) for word in lines[head + 1].split())
        rows = tuple(tuple(int(word) for word in line.split()) for line in lines[head + 3 :] if line.strip())
    except (StopIteration, ValueError, IndexError):
        return SlotTable((), (), ())
    if len(capacity) != len(units) or any(len(row) != len(units) for row in rows):
        return SlotTable((), (), ())
    return SlotTable(units, capacity, rows)


def _use(table: SlotTable) -> dict[str, float]:
    slots = {unit: most * len(table.rows) for unit, most in zip(table.units, table.capacity, strict=True)}
    return {unit: sum(table.column(unit)) / slots[unit] for unit in table.units if unit in UNITS and slots[unit]}


def vmem_of(report: str, name: str) -> tuple[int | None, tuple[Buffer, ...]]:
    """Scoped vector memory of an instruction, and its buffers, largest first."""
    if not report:
        return None, ()
    own = json.loads(report).get("hlo_breakdowns", {}).get(name, {})
    blocks = [block for block in own.get("blocks", []) if block.get("block_type") == "SCOPED"]
    parts: Counter[tuple[str, str, int, int]] = Counter()
    for block in blocks:
        for part in block.get("allocations", []):
            tag = str(part.get("tag", ""))
            copies = _BUFFERS.search(tag)
            what, shape = _named(tag, str(part.get("shape", "")))
            parts[what, shape, int(part.get("size", 0)), int(copies[1]) if copies else 1] += 1
    buffers = [Buffer(what, shape, size * count, copies) for (what, shape, size, copies), count in parts.items()]
    total = own.get("total_size")
    return total, tuple(sorted(buffers, key=lambda buffer: -buffer.bytes))


def _named(tag: str, shape: str) -> tuple[str, str]:
    window = _WINDOW.search(tag)
    if window:
        return f"{window['what']} {window['index']}", window["shape"].rstrip(",")
    return tag[:80] or "internal", shape


def copies_of(text: str, sources: Sources | None, chip: Chip) -> tuple[Copy, ...]:
    """Copies that the text starts, in its order, with the line where it is known."""
    found = []
    addresses = [match.start() for match in _BUNDLE.finditer(text)]
    bundle = 0
    for match in _COPY.finditer(text):
        if match["direction"].startswith("done"):
            continue
        while bundle + 1 < len(addresses) and addresses[bundle + 1] < match.start():
            bundle += 1
        granules = _GRANULES.search(match["rest"])
        size = int(granules["count"]) * chip.dma_granule_bytes if granules else None
        found.append(Copy(match["direction"], size, _source(sources, bundle)))
    return tuple(found)


def _source(sources: Sources | None, bundle: int) -> str | None:
    located = sources.bundles[bundle] if sources is not None and bundle < len(sources.bundles) else ()
    return sources.places[located[0][0]] if sources is not None and located else None
