"""Time of one instruction that has bundles of its own: both cores, and scalars as far as they are known."""

from collections.abc import Mapping

from cairn.lab import bundles
from cairn.lab.chip import Chip
from cairn.lab.simulate import Run, Simulator


class Kernels:
    """Simulates the dumped programs of a module, each at most once for the same known scalars."""

    def __init__(self, texts: Mapping[str, str], chip: Chip) -> None:
        self._texts = texts
        self._chip = chip
        self._simulators: dict[str, Simulator | str] = {}
        self._splits: dict[str, bool] = {}
        self._runs: dict[tuple[str, tuple[tuple[int, int], ...]], Run] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def run(self, name: str, scalars: Mapping[int, int]) -> Run:
        """Run an instruction's program: first without the scalars, with them only where control needs them."""
        result = self._run(name, {})
        return self._run(name, scalars) if result.refused is not None and scalars else result

    def _run(self, name: str, scalars: Mapping[int, int]) -> Run:
        key = (name, tuple(sorted(scalars.items())))
        if key not in self._runs:
            simulator = self._simulator(name)
            self._runs[key] = (
                Run(refused=simulator)
                if isinstance(simulator, str)
                else self._both_cores(name, simulator, scalars)
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

    def _both_cores(self, name: str, simulator: Simulator, scalars: Mapping[int, int]) -> Run:
        """The slower of the two cores where the program looks at the core's number, else the one core."""
        known = dict(scalars)
        if not self._splits[name]:
            return simulator.run(scalars=known)
        second = simulator.run(core=1, shared=True, scalars=known)
        if second.refused is None and second.copies == 0 and not second.sent:
            alone = simulator.run(scalars=known)
            if not alone.sent:
                return alone
        first = simulator.run(core=0, shared=True, scalars=known, received=second.sent)
        if first.sent:
            second = simulator.run(core=1, shared=True, scalars=known, received=first.sent)
        return _together(first, second)


def _together(first: Run, second: Run) -> Run:
    """Two cores that work side by side: the slower one's time, everybody's traffic."""
    for run in (first, second):
        if run.refused is not None:
            return run
    slower = first if first.cycles >= second.cycles else second
    return slower.with_traffic(first.hbm_bytes + second.hbm_bytes)
