"""Where the champion spends its time, from its receipt: bottleneck, evidence, floor, and what not to try.

A receipt of a predicted cost holds what the compiler and the model said of the program; one of a measured cost holds
the brief of the recording that the judge made before it let the variant pass; without one, a recording that a person
made will do. So nothing is compiled, run or recorded for this, and a resumed climb says the same. The most useful
lines come first: the digest cuts the rest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cairn.climb.desk import Desk
from cairn.climb.recordings import newest_recording
from cairn.lab.advice import FUTILE

_MIB = 2**20
_MOST_OPERATIONS, _MOST_UNITS = 4, 3
_ONCE = 1.05  # arguments and results are moved about once
# cause of predicted time -> what it is called, what would help, what is futile when it is small
_CAUSES = {
    "issue": ("issuing bundles", "fewer instructions: larger products, fewer passes over the same values", ""),
    "mxu_stall": (
        "waiting for matrix results",
        "independent products to fill the wait, or fewer and larger ones",
        "reordering products to hide their latency",
    ),
    "unit_stall": ("waiting for other units", "other operations for the same work, and other layouts", ""),
    "dma_wait": (
        "waiting for copies",
        "copies that run beside the work: more buffers, larger blocks, fewer bytes",
        "deeper buffering or prefetching",
    ),
    "neighbours": (
        "XLA round the kernels",
        "layouts and types that the kernel takes as they come, or fusing what stands round it",
        "fusing XLA's work round the kernel",
    ),
}


def profile_brief(desk: Desk) -> str:
    """Markdown about the champion; empty before anything is known."""
    receipt = desk.receipts.find(id=desk.state.champion_receipt)
    if receipt is None or not desk.spec.profile_brief:
        return ""
    who = f"- {desk.state.champion_attempt or 'the start'}, receipt {receipt['id']}"
    return "\n".join([who, *brief_lines(receipt["cost"], _recorded(desk, receipt))])


def _recorded(desk: Desk, receipt: Mapping[str, Any]) -> dict[str, Any] | None:
    """The brief of the newest recording that the judge, or else a person, made of the champion."""
    timings = receipt["cost"].get("timings", ())
    found = next(
        ({"shape": row["shape"], **row["device_trace"]["profile"]} for row in timings if _has_profile(row)), None
    )
    if found is not None or receipt["cost"]["kind"] != "measured":
        return found
    return newest_recording(desk.git.top, receipt["variant"]["sha256"], receipt["target"])


def brief_lines(cost: Mapping[str, Any], recorded: Mapping[str, Any] | None = None) -> list[str]:
    """The brief of a receipt's cost and of a recording, one line a statement."""
    if cost["kind"] == "measured":
        return _measured(cost["timings"], recorded)
    rows = cost["shapes"]
    return [*_predicted(rows[0]), *map(_price_line, rows[1:])] if rows else []


def _predicted(row: Mapping[str, Any]) -> list[str]:
    compiler, us = row.get("compiler") or {}, row.get("predicted_us")
    parts = {name: part for name, part in (compiler.get("breakdown_us") or {}).items() if name in _CAUSES}
    lines = [_price_line(row)]
    if not us or not any(parts.values()):
        return lines
    shares = {name: part / us for name, part in sorted(parts.items(), key=lambda item: -item[1])}
    leading = next(iter(shares))
    said = ", ".join(f"{_CAUSES[name][0]} {share:.0%}" for name, share in shares.items() if share >= 0.005)
    lines += [f"- bottleneck: {said}", f"- what would help: {_CAUSES[leading][1]}"]
    if futile := _futile(shares, compiler):
        lines.append(f"- do not try: {'; '.join(futile)}")
    return [*lines, *_evidence(compiler)]


def _futile(shares: Mapping[str, float], compiler: Mapping[str, Any]) -> list[str]:
    """What the figures say is worth nothing."""
    found = [
        f"{_CAUSES[name][2]} ({share:.1%} of the time)"
        for name, share in shares.items()
        if share < FUTILE and _CAUSES[name][2]
    ]
    if not compiler.get("spills") and not compiler.get("fills"):
        found.append("lowering register pressure (nothing is spilled)")
    least = _least_bytes(compiler)
    if least and compiler.get("hbm_bytes", 0) <= _ONCE * least:
        found.append("moving fewer bytes by blocking (each is moved about once)")
    return found


def _evidence(compiler: Mapping[str, Any]) -> list[str]:
    """Bytes, spills and units: what the bottleneck is made of."""
    least = _least_bytes(compiler)
    moved = f"{compiler.get('hbm_bytes', 0) / _MIB:,.1f} MiB of memory traffic"
    lines = [f"- {moved}; arguments and results are {least / _MIB:,.1f} MiB" if least else f"- {moved}"]
    if compiler.get("spills") or compiler.get("fills"):
        lines.append(f"- registers: {compiler['spills']:,} spills, {compiler['fills']:,} fills")
    for name, kernel in list((compiler.get("kernels") or {}).items())[:_MOST_UNITS]:
        use = sorted((kernel.get("unit_use") or {}).items(), key=lambda item: -item[1])[:_MOST_UNITS]
        vmem = kernel.get("vmem_bytes")
        held = "" if vmem is None else f"VMEM {vmem / _MIB:.2f} MiB, "
        lines.append(f"- kernel `{_plain(name)}`: {held}" + ", ".join(f"{unit} {part:.0%}" for unit, part in use))
    return lines


def _least_bytes(compiler: Mapping[str, Any]) -> int:
    memory = compiler.get("memory_bytes") or {}
    return int(memory.get("argument_size_in_bytes", 0)) + int(memory.get("output_size_in_bytes", 0))


def _price_line(row: Mapping[str, Any]) -> str:
    us, floors = row.get("predicted_us"), row.get("floors") or {}
    if us is None:
        return f"- {_named(row['shape'])}: not priced, {row.get('refused')}"
    floor = floors.get("target_us")
    if not floor:
        return f"- {_named(row['shape'])}: predicted {us:,.1f} us"
    bound = floors.get("target_bound_by") or "unknown"
    return (
        f"- {_named(row['shape'])}: predicted {us:,.1f} us; floor {floor:,.1f} us ({bound}), {floor / us:.0%} of it"
        " reached"
    )


def _measured(timings: Sequence[Mapping[str, Any]], found: Mapping[str, Any] | None) -> list[str]:
    lines = [f"- {_named(row['shape'])}: measured {row['candidate_us']:,.2f} us" for row in timings]
    if found is None:
        return lines
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in found["shares"].items() if share >= 0.005)
    hot = [
        f"  - `{_plain(op['name'])}` ({op['kind']}): {op['step_us']:,.1f} us, {op['share'] or 0:.0%}, "
        f"{op['step_count']:g} times a call"
        for op in found["hot"][:_MOST_OPERATIONS]
    ]
    where = f" at {_named(found['shape'])}" if "shape" in found else ""
    call = f" (a recorded call took {found['step_us']:,.1f} us)" if found.get("step_us") else ""
    lines += [f"- bottleneck{where}, from the device's trace{call}: {shares}", f"- {found['advice']}"]
    if found["not_worth_it"]:
        lines.append(
            f"- do not try: less of {', '.join(found['not_worth_it'])} (each below a twentieth of the time)"
        )
    return [*lines, "- hottest operations:", *hot]


def _has_profile(row: Mapping[str, Any]) -> bool:
    return bool((row.get("device_trace") or {}).get("profile"))


def _plain(name: str) -> str:
    """A name out of a variant's program, fit to stand between backquotes."""
    return "".join(c for c in name if c.isprintable() and c != "`")[:60]


def _named(shape: Mapping[str, int]) -> str:
    return " ".join(f"{name}={size}" for name, size in shape.items())
