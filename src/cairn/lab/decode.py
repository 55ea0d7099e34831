"""From parsed bundles to blocks that run fast: what matters of the scalar program, as closures over one list.

A block is a straight run of bundles up to a branch with its delay slots. Inside it, steps end where time matters
(a copy starts, a wait). Operations whose result decides nothing - bounds checks, addresses - are dropped: values
are in static single assignment, so "decides something" is a simple closure over names. Within a bundle every
operand is read before anything is written, as the machine does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from cairn.lab import dma
from cairn.lab.bundles import Bundle, Program, Unreadable
from cairn.lab.chip import Chip
from cairn.lab.operations import Operation
from cairn.lab.registers import Registers
from cairn.lab.scalar import UNKNOWN, UnknownControl, Value
from cairn.lab.unit_events import UnitEvent, Units

ScalarStep = Callable[[], None]
Event = Callable[[dma.DmaEngine, float], float]
_MEETING = "vwait.ge.trace"  # how the two cores of a v4 wait for each other before a kernel
# Before one hands the other its part of a sum it sees whether there is room, afterwards whether the part was taken:
# the other core is as far as this one, so neither takes time.
_HANDSHAKES = ("vwait.ne.trace", "vwait.eq.trace")
_BETWEEN_CORES = "vmem_to_vmem"  # of such a part, whose addresses are the program's own


@dataclass
class Step:
    """Bundles that pass without regard to time, then at most one event that looks at it.

    `serial` identifies the step for the memory of the unit model. `addresses`: of its bundles, in order.
    `event_address`: of the bundle whose event ends the step. `batches`: multiplies with new weights.
    """

    serial: int
    scalars: list[ScalarStep] = field(default_factory=list)
    addresses: list[int] = field(default_factory=list)
    units: list[tuple[int, UnitEvent]] = field(default_factory=list)
    event: Event | None = None
    event_address: int = 0
    spills: int = 0
    fills: int = 0
    mxu_busy: int = 0
    batches: int = 0

    @property
    def cycles(self) -> int:
        return len(self.addresses)


@dataclass
class Block:
    """Steps, then where to go: `taken` (bundle index) when `condition` holds, else `following`; None ends."""

    steps: list[Step]
    condition: Callable[[], bool] | None
    taken: int | None
    following: int | None


class Decoder:
    """Decodes blocks of one program on demand and remembers them."""

    def __init__(self, program: Program, chip: Chip) -> None:
        self._program = program
        self._chip = chip
        self._units = Units(chip)
        self.registers = Registers(program)
        self._blocks: dict[int, Block] = {}
        self._serial = 0
        self._taken = [False]
        self._unmarked = _unmarked_exit(program)
        self._starts = frozenset(program.region_starts.values())

    def block(self, start: int) -> Block:
        """The block that begins at a bundle.

        Raises:
            Unreadable: it contains an operation whose effect on control flow is not known.
        """
        if start not in self._blocks:
            self._blocks[start] = self._decode(start)
        return self._blocks[start]

    def _decode(self, start: int) -> Block:
        bundles = self._program.bundles
        steps = [self._step()]
        index = start
        while index < len(bundles):
            branch = _branch_of(bundles[index])
            self._bundle(index, steps)
            index += 1
            if branch is not None:
                target = self._target(branch)
                index = self._delay_slots(index, target, steps, branch)
                following = index if branch.guard is not None else None
                return Block(steps, self._condition(branch), target, following)
        return Block(steps, None, None, None)  # the exit bundle

    def _delay_slots(self, index: int, target: int, steps: list[Step], branch: Operation) -> int:
        """Decode the bundles that run before the jump happens; return the first one behind them."""
        bundles, first = self._program.bundles, index
        last, folded = self._last_slot(index - 1, target, branch)
        while index <= min(last, len(bundles) - 1):
            if index == target or _branch_of(bundles[index]) is not None:
                break
            self._bundle(index, steps)
            index += 1
        if folded:
            missing = self._chip.branch_delay_bundles - (index - first)
            steps[-1].addresses.extend([index - 1] * missing)
        return index

    def _last_slot(self, at: int, target: int, branch: Operation) -> tuple[int, bool]:
        """Where the slots of the branch in bundle `at` end, and whether fewer are printed than there are.

        Region numbers follow the source: the branch and its slots are the region before last before the target's
        (the last before, for a loop's), and its end is marked on the last slot. Where a chip prints one empty
        bundle for several slots, the mark is lost with them; the predicate's region, one before, is over by then.
        """
        ends, delay = self._program.region_ends, self._chip.branch_delay_bundles
        region = self._region(branch)
        marked = ends.get(region - 1 if target <= at else region - 2, -1)
        if at < marked <= at + delay:
            return marked, False
        if self._chip.folds_empty_slots:
            predicate_end = ends.get(region - 3, -1)
            begin = predicate_end if at < predicate_end <= at + delay else at
            if target <= at:
                begin = max(begin, self._last_of_loop(at, target))
            for index in range(begin + 1, min(at + delay, len(self._program.bundles) - 1) + 1):
                if self._program.bundles[index].empty:
                    return index, True
        return at + delay, False

    def _last_of_loop(self, at: int, target: int) -> int:
        """The last bundle behind a loop's jump that is printed as deep as the loop: slots may follow empty ones."""
        bundles, last = self._program.bundles, at
        for index in range(at + 1, min(at + self._chip.branch_delay_bundles, len(bundles) - 1) + 1):
            if index in self._starts:
                break
            if bundles[index].depth >= bundles[target].depth > 0:
                last = index
        return last

    def _region(self, branch: Operation) -> int:
        name = branch.operands[-1].removeprefix("$region")
        return int(name) if name.isdigit() else -1

    def _target(self, branch: Operation) -> int:
        region = self._region(branch)
        if region in self._program.region_starts:
            return self._program.region_starts[region]
        if region in self._unmarked:
            return len(self._program.bundles) - 1
        raise Unreadable(f"a branch to {branch.operands[-1]}, which is nowhere")

    def _condition(self, branch: Operation) -> Callable[[], bool] | None:
        taken = self._taken
        return None if branch.guard is None else lambda: taken[0]

    def _step(self) -> Step:
        self._serial += 1
        return Step(self._serial)

    def _bundle(self, index: int, steps: list[Step]) -> None:
        """Append a bundle: events first (they read old values), then the scalar operations."""
        bundle = self._program.bundles[index]
        for operation in bundle.operations:
            event = self._event(operation, index)
            if event is not None:
                steps[-1].event, steps[-1].event_address = event, index
                steps.append(self._step())
        step = steps[-1]
        for operation in bundle.operations:
            for unit in self._units.events(operation):
                step.units.append((len(step.addresses), unit))
                is_product = unit.kind == "send" and self._units.is_matrix(unit.unit)
                step.mxu_busy += unit.interval if is_product else 0
                step.batches += unit.latches
        step.addresses.append(index)
        step.spills += bundle.spills
        step.fills += bundle.fills
        branch = _branch_of(bundle)
        if branch is not None and branch.guard is not None:
            step.scalars.append(self._remember(branch))
        step.scalars.extend(self.registers.scalar_steps(bundle))

    def _remember(self, branch: Operation) -> ScalarStep:
        """The predicate as it is in the branch's own bundle; the delay slots may change it."""
        holds = self._guard(branch)
        taken = self._taken

        def remember() -> None:
            taken[0] = holds()

        return remember

    def _guard(self, operation: Operation) -> Callable[[], bool]:
        if operation.guard is None:
            return lambda: True
        read, wanted = self.registers.reader("%" + operation.guard), not operation.negated
        return lambda: bool(read()) is wanted

    def _event(self, operation: Operation, address: int) -> Event | None:
        opcode = operation.opcode
        if opcode == "dma.done.wait":
            return self._wait(operation)
        if opcode.startswith("dma."):
            return self._copy(operation, address)
        if opcode in ("vsyncadd", "vsyncpa"):
            return self._flag_change(operation)
        if opcode == _MEETING:
            return self._meeting(operation)
        if opcode in _HANDSHAKES:
            return None
        if "wait" in opcode or (opcode.startswith(("sbr", "scall", "sret")) and opcode != "sbr.rel"):
            raise Unreadable(f"{opcode} is not modelled")
        return None

    def _wait(self, operation: Operation) -> Event:
        holds = self._guard(operation)
        flag, granules = (self.registers.reader(text) for text in operation.operands[:2])

        def wait(engine: dma.DmaEngine, now: float) -> float:
            if not holds():
                return now
            awaited = _known(flag())
            later = engine.wait(now, _known(granules()), awaited)
            self.registers.arrive(awaited, all_here=not engine.under_way(awaited))
            return later

        return wait

    def _meeting(self, operation: Operation) -> Event:
        """Both cores of a device begin at once, so neither waits: the other's word is there when it is asked for."""
        flag, count = (self.registers.reader(text) for text in operation.operands[:2])

        def meet(engine: dma.DmaEngine, now: float) -> float:
            engine.add(_known(flag()), _known(count()))
            return now

        return meet

    def _copy(self, operation: Operation, address: int) -> Event:
        direction = self._direction(operation)
        holds = self._guard(operation)
        size = self.registers.reader(operation.named["size_in_granules"])
        flag = self._flag_word(operation)
        into = self._scalar_target(operation) if direction.endswith("_to_smem") else None

        def copy(engine: dma.DmaEngine, now: float) -> float:
            if holds():
                granules, word = _known(size()), flag()
                engine.start(now, granules, direction, word, address)
                if into is not None:
                    into(granules, dma.own_flag(word))
            return now

        return copy

    def _flag_word(self, operation: Operation) -> Callable[[], int]:
        """The flag that a copy counts on, the other core's in the upper half if there is one.

        On a v4 a part of a sum goes to the other core with two flags: one here, which says that it has left, and
        one over there, with a core's number in its bits. A program is compiled for one device of two cores, so that
        core can only be the other one.
        """
        arrives = self.registers.reader(operation.named["dst_syncflagno"])
        if operation.opcode != "dma.general" or operation.note != _BETWEEN_CORES:
            return lambda: _known(arrives())
        leaves = self.registers.reader(operation.named.get("src_syncflagno", "0"))

        def word() -> int:
            flag = _known(arrives())
            is_bare = dma.A_CORES_FLAG < flag < 1 << dma.FLAG_WORD_BITS  # a word for two cores has both already
            return flag << dma.FLAG_WORD_BITS | _known(leaves()) if is_bare else flag

        return word

    def _scalar_target(self, operation: Operation) -> Callable[[int, int], None]:
        """What a copy of so many granules into scalar memory, counted by a flag, does to it."""
        source, _, rest = operation.opcode.removeprefix("dma.").partition("_to_")
        named = operation.named
        text = named.get("src") or named.get(source) or ""
        to = self.registers.reader(named.get("dst") or named.get("smem") or named.get(rest) or "")
        words = self._chip.dma_granule_bytes // 4
        return lambda granules, flag: self.registers.begin_fill(to(), text, granules * words, flag)

    def _direction(self, operation: Operation) -> str:
        direction = operation.opcode.removeprefix("dma.")
        if direction == "general" and operation.note == _BETWEEN_CORES:
            direction = operation.note
        elif direction == "general":
            spaces = [self.registers.space(operation.named[end]) for end in ("src", "dst")]
            direction = "_to_".join(spaces)
        remote = any("chip" in label or "core" in label for label in operation.named)
        if remote or direction not in dma.DIRECTIONS or "size_in_granules" not in operation.named:
            raise Unreadable(f"a copy of an unknown kind: {operation.opcode} {direction}")
        return direction

    def _flag_change(self, operation: Operation) -> Event:
        holds = self._guard(operation)
        flag, amount = (self.registers.reader(text) for text in operation.operands[:2])
        is_reset = operation.opcode == "vsyncpa"

        def change(engine: dma.DmaEngine, now: float) -> float:
            if holds():
                (engine.reset if is_reset else engine.add)(_known(flag()), _known(amount()))
            return now

        return change


def _unmarked_exit(program: Program) -> set[int]:
    """Regions that start nowhere: they begin with the exit bundle, which carries no mark.

    The only one of a program is the exit. Of several, those whose preceding region ends in the last bundle before it.
    """
    branches = (branch for bundle in program.bundles if (branch := _branch_of(bundle)) is not None)
    names = (branch.operands[-1].removeprefix("$region") for branch in branches)
    missing = {int(name) for name in names if name.isdigit() and int(name) not in program.region_starts}
    if not program.has_exit:
        return set()
    last = len(program.bundles) - 2
    return missing if len(missing) == 1 else {one for one in missing if program.region_ends.get(one - 1) == last}


def _branch_of(bundle: Bundle) -> Operation | None:
    for operation in bundle.operations:
        if operation.opcode.startswith("sbr"):
            return operation
    return None


def _known(value: Value) -> int:
    if value is UNKNOWN:
        raise UnknownControl("a copy or a wait has a size or flag that is not in the program")
    return int(value)  # type: ignore[arg-type]
