"""Time of one instruction that has bundles of its own: both cores, and operands as far as they are known."""

from collections.abc import Mapping
from typing import Any

from cairn.lab import bundles
from cairn.lab.chip import Chip
from cairn.lab.observe import Observe
from cairn.lab.simulate import Run, Simulator

Operands = Mapping[int, tuple[int, ...]]  # words by operand number
_IDLE_BLOCKS, _IDLE_CYCLES = 64, 200  # a core that has nothing to do jumps over the work


class Kernels:
    """Simulates the dumped programs of a module, each at most once for the same known operands.

    `observe` gives the observer for an instruction's program; the core that decides the time is run again for it.
    """

    def __init__(self, texts: Mapping[str, str], chip: Chip, observe: Observe | None = None) -> None:
        self._observe = observe
        self._texts = texts
        self._chip = chip
        self._simulators: dict[str, Simulator | str] = {}
        self._splits: dict[str, bool] = {}
        self._runs: dict[tuple[str, tuple[tuple[int, tuple[int, ...]], ...]], Run] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def run(self, name: str, operands: Operands) -> Run:
        """Run an instruction's program: first without known operands, with them only where control needs them."""
        result = self._run(name, {})
        return self._run(name, operands) if result.refused is not None and operands else result

    def _run(self, name: str, operands: Operands) -> Run:
        key = (name, tuple(sorted(operands.items())))
        if key not in self._runs:
            simulator = self._simulator(name)
            self._runs[key] = (
                Run(refused=simulator)
                if isinstance(simulator, str)
                else self._both_cores(name, simulator, operands)
            )
        return self._runs[key]

    def _simulator(self, name: str) -> Simulator | str:
        if name not in self._simulators:
            try:
                program = bundles.parse(self._texts[name])
                self._splits[name] = program.uses_core_id and self._chip.cores_per_device > 1
                self._simulators[name] = Simulator(program, self._chip)
            except bundles.Unreadable as error:
                self._simulators[name] = str(error)
        return self._simulators[name]

    def _both_cores(self, name: str, simulator: Simulator, operands: Operands) -> Run:
        """The slower of the two cores where the program looks at the core's number, else the one core."""
        alone: dict[str, Any] = {"operands": dict(operands)}
        if not self._splits[name]:
            return self._observed(name, simulator, alone, simulator.run(**alone))
        shared = {**alone, "shared": True}
        second = simulator.run(core=1, **shared)
        if second.refused is None and second.copies == 0 and not second.sent:
            result = simulator.run(**alone)
            if not result.sent:
                return self._observed(name, simulator, alone, result)
        first = simulator.run(core=0, received=second.sent, **shared)
        if first.sent:
            second = simulator.run(core=1, received=first.sent, **shared)
        for run in (first, second):
            if run.refused is not None:
                return run
        slower, core, sent = (first, 0, second.sent) if first.cycles >= second.cycles else (second, 1, first.sent)
        self._observed(name, simulator, {**shared, "core": core, "received": sent}, slower)
        return slower.with_traffic(first.hbm_bytes + second.hbm_bytes)

    def _observed(self, name: str, simulator: Simulator, settings: dict[str, Any], result: Run) -> Run:
        """Tell the observer of this instruction, if there is one, how the run went."""
        observer = self._observe(name) if self._observe is not None and result.refused is None else None
        if observer is not None:
            simulator.run(**settings, observer=observer)
        return result


def second_core_idles(text: str, chip: Chip) -> bool:
    """Whether the device has two cores and only one of them does what this program (its bundles) says."""
    if chip.cores_per_device < 2:
        return False
    try:
        program = bundles.parse(text)
    except bundles.Unreadable:
        return False
    if not program.uses_core_id:
        return True
    run = Simulator(program, chip, max_blocks=_IDLE_BLOCKS).run(core=1)
    return run.refused is None and run.copies == 0 and not run.sent and run.cycles < _IDLE_CYCLES
