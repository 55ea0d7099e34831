"""Run a kernel's program: branches and predicates exactly, one cycle a bundle, copies and matrix results awaited.

Every iteration of every loop is executed on the scalar side, so trip counts, index maps and skipped copies come
out of the program itself and nothing is extrapolated. What repeats is fast for another reason: operations that
decide nothing are dropped, and a step that meets the matrix units in a known state is a look-up.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cairn.lab import dma
from cairn.lab.bundles import Program, Unreadable
from cairn.lab.chip import Chip
from cairn.lab.decode import Block, Decoder, Step
from cairn.lab.observe import DMA, RESULT, Observer
from cairn.lab.registers import Words
from cairn.lab.scalar import UnknownControl
from cairn.lab.unit_events import Units
from cairn.lab.units import Passed, QueueMismatch, UnitQueues

MAX_BLOCKS = 1_200_000  # some twenty seconds; a program that is longer is refused, not extrapolated


class Implausible(Exception):
    """A self-check failed: the model has misread the program."""


@dataclass(frozen=True)
class Run:
    """What one core did. Cycles are core cycles; `refused` is the reason why there is no result, or None.

    `unit_stall_cycles`: spent waiting for results of other units than the matrix units.
    """

    cycles: int = 0
    bundles: int = 0
    mxu_stall_cycles: int = 0
    unit_stall_cycles: int = 0
    dma_wait_cycles: int = 0
    mxu_busy_cycles: float = 0.0
    batches: int = 0
    hbm_bytes: int = 0
    copies: int = 0
    spills: int = 0
    fills: int = 0
    sent: tuple[dma.Arrival, ...] = ()
    refused: str | None = None

    def with_traffic(self, hbm_bytes: int) -> "Run":
        return replace(self, hbm_bytes=hbm_bytes)


@dataclass
class _Tally:
    now: int = 0
    bundles: int = 0
    mxu_stall: int = 0
    unit_stall: int = 0
    dma_wait: int = 0
    mxu_busy: int = 0
    batches: int = 0
    spills: int = 0
    fills: int = 0
    blocks: int = 0


class Simulator:
    """One program on one chip; may be run several times, as either core.

    Args:
        max_blocks: blocks to execute before the run is refused.
        remembers: look up steps that meet the matrix units in a known state; off only to check that it is exact.
    """

    def __init__(
        self, program: Program, chip: Chip, *, max_blocks: int = MAX_BLOCKS, remembers: bool = True
    ) -> None:
        self._remembers = remembers
        self._chip = chip
        self._units = Units(chip)
        self._decoder = Decoder(program, chip)
        self._max_blocks = max_blocks

    def run(
        self,
        *,
        core: int = 0,
        shared: bool = False,
        operands: Mapping[int, Words] | None = None,
        received: tuple[dma.Arrival, ...] = (),
        observer: Observer | None = None,
    ) -> Run:
        """Execute from the first bundle to the end.

        Args:
            core: which of two cores this is; the program may skip or split its work by it.
            shared: both cores draw on the memory at the same time.
            operands: words of the call's operands by number, as far as they are known.
            received: what the other core's copies bring to this one (its `Run.sent`).
            observer: told where every cycle of the run went.
        """
        self._decoder.registers.operands = operands or {}
        self._decoder.registers.reset(core)
        engine = dma.DmaEngine(self._chip, shared=shared, observer=observer)
        engine.receive(received)
        try:
            return self._execute(engine, UnitQueues(self._units, remembers=self._remembers), observer)
        except (UnknownControl, Unreadable, dma.LostWait, QueueMismatch, Implausible) as error:
            return Run(refused=str(error))

    def _execute(self, engine: dma.DmaEngine, queues: UnitQueues, observer: Observer | None) -> Run:
        """One run.

        Raises:
            Implausible, QueueMismatch, LostWait: the model has misread the program.
        """
        tally = _Tally()
        teller = self._told(observer)
        position: int | None = 0
        while position is not None:
            block = self._decoder.block(position)
            _run_block(block, tally, engine, queues, teller)
            position = _next(block)
            tally.blocks += 1
            if tally.blocks > self._max_blocks:
                raise Unreadable(f"more than {self._max_blocks} blocks to execute: too long to simulate")
        result = self._result(tally, engine)
        self._check(result, queues, engine)
        return result

    def _told(self, observer: Observer | None) -> "_Teller | None":
        return None if observer is None else _Teller(observer, self._units.names)

    def _result(self, tally: _Tally, engine: dma.DmaEngine) -> Run:
        return Run(
            cycles=tally.now,
            bundles=tally.bundles,
            mxu_stall_cycles=tally.mxu_stall,
            unit_stall_cycles=tally.unit_stall,
            dma_wait_cycles=tally.dma_wait,
            batches=tally.batches,
            mxu_busy_cycles=tally.mxu_busy / self._chip.mxu_count,
            hbm_bytes=engine.hbm_bytes,
            copies=engine.copies,
            spills=tally.spills,
            fills=tally.fills,
            sent=tuple(engine.sent),
        )

    def _check(self, run: Run, queues: UnitQueues, engine: dma.DmaEngine) -> None:
        """Results that nobody took, copies that nobody awaited, or half the time lost to units that are hardly busy.

        A chain of small dependent products does lose most of its time to the latency of results: at most one full
        latency and one loading of weights for every time that a unit takes over new weights.

        Raises:
            Implausible: there must be no number.
        """
        if queues.left_over:
            raise Implausible(
                f"results are left in the queue of {self._units.names[queues.left_over[0]]} at the end"
            )
        if engine.unawaited:
            raise Implausible(f"{engine.unawaited} copies are not awaited at the end")
        idle = run.mxu_stall_cycles > 0.5 * run.cycles and run.mxu_busy_cycles < 0.2 * run.cycles
        loading = 16 * self._chip.matpush_interval_cycles["transposed"]
        if idle and run.mxu_stall_cycles > run.batches * (self._chip.matmul_latency_cycles + loading):
            raise Implausible("most of the time is lost to matrix units that are hardly busy")


class _Teller:
    """Tells an observer what a step was."""

    def __init__(self, observer: Observer, names: tuple[str, ...]) -> None:
        self._observer = observer
        self._names = names

    def step(self, step: Step, at: int, passed: Passed) -> None:
        if step.addresses:
            self._observer.issued(at, step.addresses, 1)
        before = at
        for stall in passed.stalls:
            address = step.addresses[stall.offset]
            self._observer.stalled(
                before + stall.offset, address, self._names[stall.unit], RESULT, stall.cycles, 1
            )
            before += stall.cycles

    def wait(self, step: Step, at: int, cycles: int) -> None:
        self._observer.stalled(at, step.event_address, "dma", DMA, cycles, 1)


def _run_block(
    block: Block, tally: _Tally, engine: dma.DmaEngine, queues: UnitQueues, teller: _Teller | None
) -> None:
    for step in block.steps:
        for scalar in step.scalars:
            scalar()
        cycles = step.cycles
        passed = queues.run(step.serial, cycles, step.units)
        if teller is not None:
            teller.step(step, tally.now, passed)
        tally.bundles += cycles
        tally.now += cycles + passed.total
        tally.mxu_stall += passed.mxu
        tally.unit_stall += passed.total - passed.mxu
        tally.mxu_busy += step.mxu_busy
        tally.batches += step.batches
        tally.spills += step.spills
        tally.fills += step.fills
        if step.event is not None:
            later = step.event(engine, tally.now)
            if later > tally.now:
                waited = math.ceil(later) - tally.now
                if teller is not None:
                    teller.wait(step, tally.now, waited)
                tally.now += waited
                tally.dma_wait += waited
                queues.pass_time(waited)


def _next(block: Block) -> int | None:
    condition: Callable[[], bool] | None = block.condition
    if condition is None or condition():
        return block.taken
    return block.following
