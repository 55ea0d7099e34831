"""What an operation does to a queued unit: matrix, cross-lane, transcendental, random numbers.

An operation is sent to a unit and takes it for its interval; its result can be taken a latency later, in order or
from a named place of a result buffer. Intervals and latencies are the chip's table.
"""

from dataclasses import dataclass

from cairn.lab.chip import Chip
from cairn.lab.operations import Operation

IN_ORDER = -1  # the one queue of a unit's results
_RESULTS = {"f32": 1, "bf16": 2, "other": 4}  # registers of 32-bit results from one packed operand register
_EIGHT_BITS = (".s8", ".u8", ".s4", ".u4", ".f8")
_EUP = (
    "vexp2.",
    "vpow2.",
    "vrcp.",
    "vrsqrt.",
    "vlog2.",
    "vtanh.",
    "vsin.",
    "vcos.",
    "verf.",
    "vsigshft.",
    "vsqrt.",
)
_EUP_RESULTS = "vpop.erf"
_RNG_RESULTS = "vpop.rng"


@dataclass(frozen=True)
class UnitEvent:
    """`kind`: push, send or pop. `results`: registers that come of it. Cycles as the chip's table has them.

    `latches`: the product takes over the weights that were pushed. `place`: where in the result buffer.
    """

    kind: str
    unit: int
    interval: int = 0
    latency: int = 0
    results: int = 0
    latches: bool = False
    place: int = IN_ORDER


class Units:
    """Numbers and names of a chip's queued units, and the events of its operations."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self.names = (
            *(f"mxu{n}" for n in range(chip.mxu_count)),
            *(f"xlu{n}" for n in range(chip.xlu_count)),
            "eup",
            "rng",
        )
        self._number = {name: number for number, name in enumerate(self.names)}

    def is_matrix(self, unit: int) -> bool:
        return unit < self._chip.mxu_count

    def events(self, operation: Operation) -> list[UnitEvent]:
        """What an operation does to queued units; a pop may add up the results of two."""
        opcode = operation.opcode
        if not opcode.startswith("v"):
            return []
        if ".mxu" in opcode:
            units = (self._number.get(part) for part in opcode.split(".") if part.startswith("mxu"))
            found = [self._matrix(operation, unit) for unit in units]
        else:
            found = [self._other(operation)]
        return [event for event in found if event is not None]

    def _other(self, operation: Operation) -> UnitEvent | None:
        opcode = operation.opcode
        head, _, last = opcode.rpartition(".")
        if last.startswith("xlu") or "xlu" in head:
            return self._cross_lane(operation)
        if opcode.startswith(_EUP_RESULTS):
            return UnitEvent("pop", self._number["eup"])
        if opcode.startswith(_EUP):
            chip = self._chip
            return UnitEvent("send", self._number["eup"], chip.eup_interval_cycles, chip.eup_latency_cycles, 1)
        return self._random(opcode)

    def _matrix(self, operation: Operation, unit: int | None) -> UnitEvent | None:
        opcode, chip = operation.opcode, self._chip
        if unit is None:
            return None
        place = IN_ORDER if operation.slot is None else operation.slot
        if opcode.startswith("vpop"):
            return UnitEvent("pop", unit, place=place)
        if opcode.startswith("vmatpush"):
            kind = "transposed" if "xpose" in opcode else "plain"
            return UnitEvent("push", unit, chip.matpush_interval_cycles[kind])
        if not opcode.startswith("vmatmul"):
            return None
        kind = _operand_kind(opcode)
        interval, results = chip.matmul_interval_cycles[kind], _RESULTS[kind] * chip.mxu_lane_groups
        if kind == "other" and ".bf16" in opcode:  # eight-bit operands that the unit widens: two passes
            interval = 2 * chip.matmul_interval_cycles["bf16"]
        latches = ".ms" in opcode and "gmr" in opcode
        return UnitEvent("send", unit, interval, chip.matmul_latency_cycles, results, latches, place)

    def _cross_lane(self, operation: Operation) -> UnitEvent | None:
        opcode, chip = operation.opcode, self._chip
        unit = next((self._number.get(part) for part in opcode.split(".") if part.startswith("xlu")), None)
        if unit is None or opcode.startswith("vset"):
            return None
        if opcode.startswith("vpop.trf"):
            return None  # how many registers a transposition yields is not in the text: it only occupies the unit
        if opcode.startswith("vpop"):
            return UnitEvent("pop", unit)
        if opcode.startswith("vxpose"):
            return UnitEvent("send", unit, chip.xlu_interval_cycles)
        return UnitEvent("send", unit, chip.xlu_interval_cycles, chip.xlu_latency_cycles, 1)

    def _random(self, opcode: str) -> UnitEvent | None:
        if opcode.startswith(_RNG_RESULTS):
            return UnitEvent("pop", self._number["rng"])
        if opcode.startswith("vrng"):
            return UnitEvent("send", self._number["rng"], self._chip.rng_interval_cycles)
        return None


def _operand_kind(opcode: str) -> str:
    if any(mark in opcode for mark in _EIGHT_BITS):
        return "other"
    return "f32" if ".f32" in opcode or ".lmr" in opcode else "bf16" if ".bf16" in opcode else "other"
