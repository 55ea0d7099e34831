"""One screen for whoever makes the next attempt: bottleneck, evidence, what is at the limit, what not to try.

Sections, order and rounding are fixed, so that the briefs of two attempts can be compared line by line.
"""

from dataclasses import asdict, dataclass
from typing import Any

from cairn.lab import advice
from cairn.lab.advice import Change, View
from cairn.lab.causes import NOWHERE
from cairn.lab.facts import UNITS
from cairn.lab.profile import Profile
from cairn.lab.roofpoint import Position, position
from cairn.roofline import Floor

_LINES = 6
_CAUSES = {
    "issue": "issuing bundles",
    "mxu_stall": "waiting for matrix results",
    "unit_stall": "waiting for other units",
    "dma_wait": "waiting for copies",
    "neighbours": "XLA round the kernels",
}


@dataclass(frozen=True)
class Brief:
    """A profile, shortened. Times in microseconds, shares of the whole predicted time.

    Attributes:
        us, low_us, high_us: predicted; None when refused.
        refused: why there is no number.
        bottleneck: the cause with the largest share.
        shares: all causes.
        floors: lower bounds by name.
        lines: hottest source lines with their share of the costliest kernel and its main cause.
        units: share of each unit's slots in use in the costliest kernel.
    """

    subject: str
    target: str
    us: float | None
    low_us: float | None
    high_us: float | None
    refused: str | None
    bottleneck: str = ""
    shares: dict[str, float] | None = None
    floors: dict[str, float] | None = None
    lines: tuple[tuple[str, float, str], ...] = ()
    units: dict[str, float] | None = None
    spills: int = 0
    fills: int = 0
    vmem_bytes: int | None = None
    exposed_copies_us: float = 0.0
    moved_bytes: int = 0
    least_bytes: int = 0
    limits: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    futile: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """Plain data for scripts."""
        return asdict(self)

    def as_markdown(self) -> str:
        """One screen of Markdown."""
        if self.us is None:
            return f"## Profile: {self.subject} on {self.target}\n\nNo prediction: {self.refused}\n"
        return "\n".join([*self._head(), *self._evidence(), *self._tail()]) + "\n"

    def _head(self) -> list[str]:
        interval = f"{self.low_us:,.1f} to {self.high_us:,.1f}"
        shares = sorted((self.shares or {}).items(), key=lambda item: (-item[1], item[0]))
        return [
            f"## Profile: {self.subject} on {self.target} (predicted)",
            "",
            f"- time: {self.us:,.1f} us ({interval}); "
            + ", ".join(f"{name} {us:,.1f}" for name, us in (self.floors or {}).items()),
            f"- bottleneck: {_CAUSES.get(self.bottleneck, self.bottleneck)}",
            "- shares: " + ", ".join(f"{_CAUSES.get(name, name)} {part:.0%}" for name, part in shares),
        ]

    def _evidence(self) -> list[str]:
        units = ", ".join(f"{UNITS.get(name, name)} {use:.0%}" for name, use in (self.units or {}).items())
        vmem = "not told" if self.vmem_bytes is None else f"{self.vmem_bytes / 2**20:.2f} MiB"
        return [
            f"- copies: {self.exposed_copies_us:,.1f} us exposed; {self.moved_bytes / 2**20:,.1f} MiB moved, "
            f"{self.least_bytes / 2**20:,.1f} MiB at least",
            f"- registers: {self.spills:,} spills, {self.fills:,} fills executed; VMEM {vmem}",
            f"- slots in use: {units or 'not told'}",
            "- hot lines: "
            + ("; ".join(f"{place} {part:.0%} ({cause})" for place, part, cause in self.lines) or "-"),
        ]

    def _tail(self) -> list[str]:
        tries = [
            f"{number}. {change.title} (at most {change.gain_us:,.1f} us): {change.evidence}"
            for number, change in enumerate(self.changes, 1)
        ]
        return [
            "- at the limit: " + ("; ".join(self.limits) or "nothing"),
            "",
            "Try, most promising first:",
            *(tries or ["(nothing here is worth more than the model can resolve)"]),
            "",
            "Do not try:",
            *([f"- {line}" for line in self.futile] or ["- (no cause is too small to matter)"]),
        ]


def brief(profile: Profile, stated: tuple[Floor, Floor] | None = None) -> Brief:
    """The brief of a profile.

    Args:
        profile: from `cairn.lab.profile.profile`.
        stated: physics and target floor, where a problem states its work.
    """
    answer = profile.answer
    where = position(profile, stated)
    seen = advice.view(profile, where)
    prediction = answer.prediction
    if where is None or prediction is None or prediction.us is None:
        return Brief(answer.subject, answer.target, None, None, None, answer.refused)
    shares = {name: us / prediction.us for name, us in prediction.breakdown.items()}
    return Brief(
        subject=answer.subject,
        target=answer.target,
        us=prediction.us,
        low_us=prediction.low_us,
        high_us=prediction.high_us,
        refused=None,
        bottleneck=max(shares, key=lambda name: shares[name], default=""),
        shares=shares,
        floors=_floors(where),
        exposed_copies_us=prediction.breakdown.get("dma_wait", 0.0),
        moved_bytes=where.moved_bytes,
        least_bytes=where.least_bytes,
        spills=prediction.spills,
        fills=prediction.fills,
        **({} if seen is None else _inside(seen)),
    )


def _floors(where: Position) -> dict[str, float]:
    floors = {"physics floor": where.physics.us}
    if where.target is not None:
        floors["target floor"] = where.target.us
    return {**floors, "own traffic": where.traffic_us, "own matrix work": where.matrix_us}


def _inside(seen: View) -> dict[str, Any]:
    kernel = seen.kernel
    lines = [
        (_short(line.place), line.total / max(kernel.cycles, 1), next(iter(line.cycles), ""))
        for line in kernel.lines[:_LINES]
    ]
    return {
        "lines": tuple(lines),
        "units": dict(kernel.units),
        "vmem_bytes": kernel.facts.vmem_bytes,
        "limits": tuple(advice.limits(seen)),
        "changes": tuple(advice.changes(seen)),
        "futile": tuple(advice.futile(seen)),
    }


def _short(place: str) -> str:
    """A file's name and line, without its folders: an attempt lies elsewhere than the next one."""
    return place if place == NOWHERE else place.rpartition("/")[2]
