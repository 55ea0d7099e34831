"""Changes that the numbers of a profile support, each with the evidence and the most it could gain; and what is futile.

A gain is an upper bound: all of the time that is spent on the cause. Nothing here knows what the kernel means to
compute, so every line is a direction, to be tried and predicted again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cairn.lab import chip
from cairn.lab.causes import NOWHERE
from cairn.lab.chip import Chip
from cairn.lab.facts import UNITS
from cairn.lab.kernels import second_core_idles
from cairn.lab.profile import CopyUse, KernelProfile, Profile
from cairn.lab.roofpoint import Position, device_bytes_per_us

WORTH = 0.05  # of the whole time: less is within the model's resolution
FUTILE = 0.03
_MOST = 3
_FULL = 0.85  # share of a unit's slots at which it is the limit
_SMALL_COPY_LATENCIES = 1.0  # a copy whose data takes less than its latency is mostly latency


@dataclass(frozen=True)
class Change:
    """Something to try. `gain_us`: at most; `evidence`: the figures that speak for it."""

    title: str
    evidence: str
    gain_us: float


@dataclass(frozen=True)
class View:
    """What the rules look at: the costliest kernel, in microseconds, and the whole program round it."""

    profile: Profile
    kernel: KernelProfile
    position: Position
    figures: Chip

    @property
    def us(self) -> float:
        return self.position.us

    def share(self, name: str) -> float:
        """Part of the whole predicted time by the name of its cause in the breakdown."""
        assert self.profile.answer.prediction is not None
        return self.profile.answer.prediction.breakdown.get(name, 0.0) / self.us

    def kernel_us(self, cycles: float) -> float:
        """Cycles of the kernel as part of the whole time: what one execution shows, scaled to all of them."""
        inside = 1.0 - self.share("neighbours")
        return cycles / max(self.kernel.cycles, 1) * inside * self.us


def view(profile: Profile, where: Position | None) -> View | None:
    """What the rules look at, None where there is no number or no kernel."""
    if where is None or not profile.kernels:
        return None
    return View(profile, profile.kernels[0], where, chip.load(profile.answer.target))


def changes(seen: View) -> list[Change]:
    """The most promising changes, best first, at most three."""
    found = [change for rule in _RULES for change in rule(seen)]
    worth = [change for change in found if change.gain_us >= WORTH * seen.us]
    return sorted(worth, key=lambda change: -change.gain_us)[:_MOST]


def _copies_wait(seen: View) -> Iterator[Change]:
    waited = seen.share("dma_wait") * seen.us
    edges_us = seen.kernel_us(_edges(seen.kernel))
    traffic = seen.position.traffic_us
    small = _small_copies(seen)
    if small is not None and traffic < 0.7 * seen.us:
        yield Change(
            "copy larger blocks, or keep more copies under way",
            f"{small.count} copies {_words(small)} of {small.bytes_each / 1024:,.0f} KiB: the data of one takes less "
            f"time than its latency; {waited:,.1f} us are spent waiting for copies",
            waited - edges_us,
        )
    elif waited > 0 and traffic < 0.8 * seen.us:
        yield Change(
            "start copies earlier: another buffer, or more work per block",
            f"{waited:,.1f} us waiting for copies, though the bytes need {traffic:,.1f} us of {seen.us:,.1f}",
            waited - edges_us,
        )


def _too_many_bytes(seen: View) -> Iterator[Change]:
    moved, least = seen.position.moved_bytes, seen.position.least_bytes
    extra_us = (moved - least) / device_bytes_per_us(seen.figures)
    if least and moved > 1.2 * least:
        exposed = min(extra_us, seen.share("dma_wait") * seen.us + seen.share("neighbours") * seen.us)
        yield Change(
            "move fewer bytes: larger blocks along the axis that is fetched again, or another order of the grid",
            f"{moved / 2**20:,.1f} MiB moved, every argument and result once is {least / 2**20:,.1f} MiB",
            exposed,
        )


def _results_wait(seen: View) -> Iterator[Change]:
    waited = seen.share("mxu_stall") * seen.us
    yield Change(
        "give the matrix units independent products: unroll, or a longer contraction per product",
        f"{waited:,.1f} us waiting for matrix results; the units are busy {_mxu(seen):.0%} of the time",
        waited,
    )


def _other_units_wait(seen: View) -> Iterator[Change]:
    waited = seen.share("unit_stall") * seen.us
    yield Change(
        "fewer cross-lane and transcendental operations in a row",
        f"{waited:,.1f} us waiting for results of these units",
        waited,
    )


def _spilled(seen: View) -> Iterator[Change]:
    spilled = seen.kernel.executed_spills + seen.kernel.executed_fills
    cycles = seen.kernel.executed_fills / 3 + seen.kernel.executed_spills  # slots a bundle has for them
    yield Change(
        "keep fewer values live at once: a smaller block, or a loop over slices of it",
        f"{spilled:,} vector registers go to memory and back in {seen.kernel.cycles:,} cycles",
        seen.kernel_us(min(cycles, seen.kernel.causes.get("issue", 0))),
    )


def _pipeline_overhead(seen: View) -> Iterator[Change]:
    nowhere = next((line for line in seen.kernel.lines if line.place == NOWHERE), None)
    cycles = nowhere.cycles.get("issue", 0.0) if nowhere else 0.0
    steps = max((use.count for use in seen.kernel.copies), default=0)
    yield Change(
        "fewer grid steps: each costs its own bookkeeping",
        f"{cycles:,.0f} cycles issue bundles that belong to no line of the kernel, over some {steps:,} block copies",
        seen.kernel_us(cycles),
    )


def _edges_wait(seen: View) -> Iterator[Change]:
    edges = _edges(seen.kernel)
    yield Change(
        "shorten the first and the last step: smaller blocks there, or more steps to hide them behind",
        f"{edges:,.0f} cycles before the first block has arrived and after the last was computed",
        seen.kernel_us(edges),
    )


def _neighbours(seen: View) -> Iterator[Change]:
    us = seen.share("neighbours") * seen.us
    yield Change(
        "take XLA's work into the kernel, or make it unnecessary: casts, transposes, padding, copies",
        f"{us:,.1f} us outside the Pallas kernels",
        us if seen.profile.answer.compiled and seen.profile.answer.compiled.custom_calls else 0.0,
    )


def _issue_bound(seen: View) -> Iterator[Change]:
    unit, use = fullest(seen.kernel)
    issue_us = seen.kernel_us(seen.kernel.causes.get("issue", 0))
    if unit and use > 0.5 and unit not in ("MATMUL", "MATPUSH"):
        yield Change(
            f"take work off {UNITS.get(unit, unit)}: narrower types, hoisted or shared values",
            f"{UNITS.get(unit, unit)} uses {use:.0%} of its slots; issuing takes {issue_us:,.1f} us",
            issue_us * 0.5,
        )


def _second_core(seen: View) -> Iterator[Change]:
    compiled = seen.profile.answer.compiled
    text = compiled.dump.bundles.get(seen.kernel.name, "") if compiled else ""
    if compiled and compiled.custom_calls and second_core_idles(text, seen.figures):
        inside_us = (1.0 - seen.share("neighbours")) * seen.us
        yield Change(
            "let the second core work: mark a grid axis as parallel",
            f"the device has {seen.figures.cores_per_device} cores, one does all of the kernel's work",
            inside_us - max(inside_us / 2, seen.position.traffic_us),
        )


_RULES: tuple[Callable[[View], Iterator[Change]], ...] = (
    _copies_wait,
    _too_many_bytes,
    _results_wait,
    _other_units_wait,
    _spilled,
    _pipeline_overhead,
    _edges_wait,
    _neighbours,
    _issue_bound,
    _second_core,
)


def futile(seen: View) -> list[str]:
    """What the numbers say not to try."""
    lines = []
    if seen.share("dma_wait") < FUTILE:
        lines.append(f"deeper buffering or prefetching: waiting for copies is {seen.share('dma_wait'):.1%}")
    if seen.share("mxu_stall") < FUTILE:
        lines.append(f"reordering products to hide their latency: that is {seen.share('mxu_stall'):.1%}")
    if not seen.kernel.executed_spills and not seen.kernel.executed_fills:
        lines.append("lowering register pressure: nothing is spilled")
    if seen.share("neighbours") < FUTILE:
        lines.append(f"fusing XLA's work round the kernel: that is {seen.share('neighbours'):.1%}")
    if seen.position.moved_bytes <= 1.05 * seen.position.least_bytes:
        lines.append("moving fewer bytes by blocking: every argument and result is moved about once")
    return lines


def limits(seen: View) -> list[str]:
    """What is at its limit: more speed needs less of it."""
    lines = []
    if seen.position.traffic_us >= _FULL * seen.us:
        lines.append(f"memory bandwidth: its bytes alone take {seen.position.traffic_us:,.1f} us")
    if _mxu(seen) >= _FULL:
        lines.append(f"matrix units: busy {_mxu(seen):.0%} of the time")
    lines += [
        f"{UNITS[unit]}: {use:.0%} of its slots"
        for unit, use in sorted(seen.kernel.units.items())
        if unit in UNITS and unit not in ("MATMUL", "MATPUSH", "SALU") and use >= _FULL
    ]
    return lines


def fullest(kernel: KernelProfile) -> tuple[str, float]:
    """The unit with the largest share of its slots in use."""
    known = {unit: use for unit, use in kernel.units.items() if unit in UNITS}
    return max(known.items(), key=lambda item: item[1], default=("", 0.0))


def _mxu(seen: View) -> float:
    return seen.position.matrix_us / seen.us


def _edges(kernel: KernelProfile) -> int:
    return sum(cycles for cause, cycles in kernel.causes.items() if cause.endswith(("fill", "drain")))


def _small_copies(seen: View) -> CopyUse | None:
    """The copies with the largest traffic, if the data of one takes less time than its latency."""
    fetched = [use for use in seen.kernel.copies if use.direction.startswith("hbm")]
    if not fetched:
        return None
    us = fetched[0].bytes_each / (seen.figures.hbm_gb_per_s * 1000.0)
    latency_us = seen.figures.dma_in_latency_ns / 1000.0
    return fetched[0] if us < _SMALL_COPY_LATENCIES * latency_us else None


def _words(use: CopyUse) -> str:
    return use.direction.replace("_", " ")
