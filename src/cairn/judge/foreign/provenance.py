"""Reasons to distrust a foreign result outside its samples: what physics allows, what was measured where."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cairn.judge.foreign.findings import ResultFinding, finding
from cairn.judge.foreign.reader import ForeignResult, ForeignRun, block, finite, leaves
from cairn.judge.foreign.status import classify_result, decisive_line, filed_status, is_misfiled
from cairn.roofline import Chip, chips, physics_floor

# What a result must say to be compared with another, and the names under which tools say it.
FINGERPRINT: dict[str, tuple[str, ...]] = {
    "device": ("device_kind", "device", "tpu_type"),
    "jax": ("jax", "jax_version"),
    "libtpu": ("libtpu", "libtpu_version"),
    "commit": ("commit", "git_commit", "git_sha"),
    "source": ("source_sha256", "source_hash", "kernel_sha256", "kernel_hash"),
    "seed": ("seed", "seeds"),
    "flags": ("flags", "xla_flags", "libtpu_init_args"),
}
_MAY_BE_EMPTY = {"flags"}
_WHERE = (
    ("fingerprint",),
    ("environment",),
    ("metadata", "fingerprint"),
    ("metadata", "environment"),
    ("metadata",),
)
_SHARE = re.compile(r"(?:util|utilization|efficiency|roofline|mfu)_(?:pct|percent)\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DEVICES = {
    r"v5 ?lite|v5e": "tpu-v5e",
    r"v6 ?lite|v6e": "tpu-v6e",
    r"TPU ?v?7x?": "tpu7x",
    r"TPU ?v5p?$": "tpu-v5p",
    r"TPU ?v4$": "tpu-v4",
    r"H200": "gpu-h200",
    r"H100": "gpu-h100",
}
_SLACK = 1 + 1e-6


def fingerprint(result: ForeignResult) -> dict[str, Any]:
    """What a result says about where its numbers come from, by cairn's names; the unsaid is left out."""
    known: dict[str, Any] = {}
    for name, aliases in FINGERPRINT.items():
        for place in _WHERE:
            data = block(result.data, *place)
            said = next((data[key] for key in aliases if data.get(key) is not None), None)
            if said is not None and (name in _MAY_BE_EMPTY or said not in ("", [], {})):
                known.setdefault(name, said)
    return known


def without_fingerprint(run: ForeignRun) -> Iterator[ResultFinding]:
    """Numbers without a machine, a version and a source cannot be compared with any other number."""
    for result in run.results:
        if result.fault:
            continue
        known = fingerprint(result)
        needed = [
            name for name in FINGERPRINT if name != "libtpu" or "tpu" in str(known.get("device", "tpu")).lower()
        ]
        missing = [name for name in needed if name not in known]
        if missing:
            yield finding(result, "missing_fingerprint", f"does not say: {', '.join(missing)}")


def wrong_source(run: ForeignRun) -> Iterator[ResultFinding]:
    """The kernel beside the result is not the one that the result was measured on."""
    for result in run.results:
        said = str(fingerprint(result).get("source", "")).lower().removeprefix("sha256:")
        if result.source_sha256 and _SHA256.fullmatch(said) and said != result.source_sha256:
            detail = f"measured {said[:12]}, but the kernel beside it is {result.source_sha256[:12]}"
            yield finding(result, "source_mismatch", detail, file="kernel.py")


def above_roofline(run: ForeignRun) -> Iterator[ResultFinding]:
    """Shares above 100 %, and work that the stated device cannot do in the stated time."""
    for result in run.results:
        for path, value in leaves(result.data):
            share = finite(value)
            if share is not None and share > 100 * _SLACK and _SHARE.search(path):
                yield finding(result, "above_roofline", f"{path} is {share:.4g} %")
        ratio = finite(result.data.get("compute_ratio"))
        if ratio is not None and not 0 <= ratio <= _SLACK:
            yield finding(result, "above_roofline", f"compute_ratio is {ratio:.4g}, not a share")
        yield from _too_fast(result, run.config)


def _too_fast(result: ForeignResult, config: Mapping[str, Any]) -> Iterator[ResultFinding]:
    profile = block(result.metadata, "profile")
    latency_ms = finite(result.data.get("latency_ms"))
    flops = finite(result.data.get("flops")) or finite(profile.get("flops")) or 0.0
    bytes_ = finite(profile.get("hbm_bandwidth_bytes")) or 0.0
    if latency_ms is None or latency_ms <= 0 or (flops <= 0 and bytes_ <= 0):
        return
    floor_ms, device = _floor_ms(result, config, flops, bytes_)
    if latency_ms * _SLACK < floor_ms:
        detail = (
            f"{latency_ms:.4g} ms is below {floor_ms:.4g} ms, the least that {device} needs for the stated work"
        )
        yield finding(result, "above_roofline", detail)


def _floor_ms(result: ForeignResult, config: Mapping[str, Any], flops: float, bytes_: float) -> tuple[float, str]:
    """The least time for the stated work on the stated device; 0 when no device is stated."""
    roof = block(config, "evaluator", "roofline") or block(config, "roofline")
    peak_flops, peak_bytes = _peak(roof.get("peak_flops")), _peak(roof.get("peak_hbm_bw"))
    if peak_flops or peak_bytes:
        seconds = max(flops / peak_flops if peak_flops else 0.0, bytes_ / peak_bytes if peak_bytes else 0.0)
        return seconds * 1e3, "the config's device"
    chip = chip_named(fingerprint(result).get("device"))
    if chip is None:
        return 0.0, "an unknown device"
    # "any": the chip's highest rate of all types, because foreign results do not state theirs
    return physics_floor(chip, int(flops), int(bytes_), "any").us / 1e3, chip.device


def _peak(value: Any) -> float | None:
    """A positive number; YAML 1.1 reads 918e12 as text."""
    try:
        found = finite(float(value)) if isinstance(value, str) else finite(value)
    except ValueError:
        return None
    return found if found is not None and found > 0 else None


def chip_named(device: Any) -> Chip | None:
    """The chip that jax's `device_kind`, or cairn's own name, stands for."""
    if not isinstance(device, str):
        return None
    name = next((chip for pattern, chip in _DEVICES.items() if re.search(pattern, device.strip(), re.I)), device)
    return chips().get(name)


def misfiled(run: ForeignRun) -> Iterator[ResultFinding]:
    """Failures that were filed as something else; they are shown with the class they belong to."""
    for result in run.results:
        if not result.fault and is_misfiled(result.data):
            line = decisive_line(result.data)
            detail = f"filed as {filed_status(result.data)}, is {classify_result(result.data)}"
            yield finding(result, "misfiled_status", f"{detail}: {line}" if line else detail)


def unreadable(run: ForeignRun) -> Iterator[ResultFinding]:
    """Files that are there and hold no result."""
    for result in run.results:
        if result.fault:
            yield finding(result, "unreadable", result.fault)


def unresolved(run: ForeignRun, has: Callable[[str], bool]) -> Iterator[ResultFinding]:
    """Best kernels of `lineages.json` that are not in the run directory, as `has` says."""
    lineages = run.lineages.get("lineages")
    for each in lineages if isinstance(lineages, list) else []:
        kernel, claim = block({"it": each}, "it").get("best_kernel"), block({"it": each}, "it").get("best_speedup")
        if isinstance(kernel, str) and kernel and not has(kernel):
            what = "its best" if finite(claim) is None else f"{claim:g}x"
            detail = f"claims {what} from {kernel[:120]}, which is not there"
            yield ResultFinding(
                "lineages", str(each.get("id"))[:60], "evidence_missing", detail, ("lineages.json",)
            )


CHECKS: tuple[Callable[[ForeignRun], Iterator[ResultFinding]], ...] = (
    unreadable,
    without_fingerprint,
    wrong_source,
    above_roofline,
    misfiled,
)
