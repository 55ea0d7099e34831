"""The scalar state of one kernel: values by name, scalar memory, and closures that change them.

Names are those of the text (`s123_s9`): static single assignment with the physical register as suffix. Values
joined by a `sphi` share one place, as they share one register. Scalar memory starts unknown, except where the
text says what a word holds (the core's number).
"""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cairn.lab.bundles import Bundle, Program, Unreadable
from cairn.lab.liveness import SCALAR_MEMORY, is_open_store, what_decides
from cairn.lab.operations import Operation, names_read
from cairn.lab.scalar import FUNCTIONS, UNKNOWN, Function, Value

Words = Sequence[int]
_SYMBOL = re.compile(r"#\w+")
_ADDRESS_BITS = 20  # room for each allocation; places inside it never reach the next one in scalar memory
_FLAG_BITS = 4  # sync flags have small numbers: a copy for two cores packs two of them into one word
_FLAG_OPERATIONS = ("scalar_lea.sflag", "vsync", "dma.done.wait")


@dataclass(frozen=True)
class _Copy:
    """A copy into scalar memory: where to, which operand's start it comes from (None: elsewhere), how many words."""

    address: Value
    operand: int | None
    words: int

    def meets(self, other: "_Copy") -> bool:
        """Whether they may bring the same word."""
        if self.address is UNKNOWN or other.address is UNKNOWN:
            return True
        mine, theirs = int(self.address), int(other.address)  # type: ignore[arg-type]
        return mine < theirs + other.words and theirs < mine + self.words


class Registers:
    """Places for values, and the closures of a program's scalar operations over them."""

    def __init__(self, program: Program) -> None:
        self._definitions: dict[str, Operation] = {}
        self._parents: dict[str, str] = {}
        self._places: dict[str, int] = {}
        self._symbols: dict[str, int] = {}
        self._flags = _flag_symbols(program)
        self.values: list[Value] = []
        self._memory: dict[int, Value] = {}
        self._spilled: dict[int, Value] = {}  # the compiler's own words: no other store can reach them
        self.core = 0
        self.operands: Mapping[int, Words] = {}  # words of the call's operands, by number, as far as known
        self._in_memory: dict[int, int] = {}  # operands that lie in scalar memory: number by place
        self._arriving: dict[int, list[_Copy]] = {}  # into scalar memory, by the flag that counts them
        self._spills: dict[str, str | None] = {}  # name stored in a spill slot; None when several are
        for operation in (op for bundle in program.bundles for op in bundle.operations):
            if operation.dest is not None:
                if operation.dest in self._definitions:
                    raise Unreadable(f"{operation.dest} is defined twice")  # what decides could not be told
                self._definitions[operation.dest] = operation
            if operation.opcode == "sphi":
                self._join(operation)
            if operation.opcode == "sst" and "_spill]" in operation.operands[0]:
                slot, name = operation.operands[0], operation.operands[-1]
                self._spills[slot] = name if self._spills.get(slot, name) == name else None
            if operation.opcode == "inlined_call_operand.smem":
                number, base = _operand_number(operation), self._constant(f"#operand_{operation.dest}")
                self._in_memory[int(base)] = number  # type: ignore[arg-type]
        self._needed = what_decides(program, self._definitions)

    def reset(self, core: int) -> None:
        """Forget every value; run as this core next."""
        self.values[:] = [UNKNOWN] * len(self.values)
        self._memory.clear()
        self._spilled.clear()
        self._arriving.clear()
        self.core = core
        for base, number in self._in_memory.items():
            self._fill(base, number)

    def begin_fill(self, address: Value, source: str, words: int, flag: int) -> None:
        """A copy into scalar memory begins: from an operand whose words are known, else of anything."""
        copy = _Copy(address, self._operand_of(source), words)
        self._forget(copy)
        self._arriving.setdefault(flag, []).append(copy)

    def arrive(self, flag: int, *, all_here: bool) -> None:
        """Copies that a flag counts were awaited; unless all of them are here, nobody knows which are.

        What was stored meanwhile where a copy goes is lost, or not.
        """
        for copy in self._arriving.get(flag, ()):
            self._forget(copy)
        if all_here:
            copies = self._arriving.pop(flag, [])
            under_way = [copy for others in self._arriving.values() for copy in others]
            for index, copy in enumerate(copies):
                rivals = [*copies[:index], *copies[index + 1 :], *under_way]
                if copy.operand is None or copy.address is UNKNOWN or any(map(copy.meets, rivals)):
                    continue
                self._fill(int(copy.address), copy.operand, copy.words)  # type: ignore[arg-type]

    def _forget(self, copy: "_Copy") -> None:
        if copy.address is UNKNOWN:
            self._memory.clear()
            return
        for place in range(int(copy.address), int(copy.address) + copy.words):  # type: ignore[arg-type]
            self._memory.pop(place, None)

    def _fill(self, base: int, number: int, words: int | None = None) -> None:
        """Words of an operand from its start: all of them, or so many."""
        for offset, word in enumerate(self.operands.get(number, ())[:words]):
            self._memory[base + offset] = word & 0xFFFFFFFF

    def _operand_of(self, text: str) -> int | None:
        """Number of the operand at whose start an address points; None when it points elsewhere."""
        for _ in range(32):
            operation = self._definitions.get(text.removeprefix("%"))
            if operation is None:
                return None
            if operation.opcode.startswith("inlined_call_operand."):
                return _operand_number(operation)
            if operation.opcode == "sld":
                text = self._spills.get(operation.operands[0]) or ""
            elif operation.opcode.startswith(_SAME_PLACE) and operation.guard is None:
                text = operation.operands[0]
            else:
                return None
        return None

    # Names and places ------------------------------------------------------------------------------------------

    def _join(self, phi: Operation) -> None:
        assert phi.dest is not None
        for operand in phi.operands:
            name = operand.removeprefix("%")
            if _register(name) != _register(phi.dest):
                raise Unreadable(f"values of different registers meet in {phi.dest}")
            self._parents[self._root(name)] = self._root(phi.dest)

    def _root(self, name: str) -> str:
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def _place(self, name: str) -> int:
        root = self._root(name)
        if root not in self._places:
            self._places[root] = len(self.values)
            self.values.append(UNKNOWN)
        return self._places[root]

    def space(self, text: str) -> str:
        """Memory space that an address operand points to, followed through the operations that made it."""
        for _ in range(32):
            operation = self._definitions.get(text.removeprefix("%"))
            if operation is None:
                break
            head, _, tail = operation.opcode.rpartition(".")
            if head in ("scalar_lea", "int_to_ptr", "inlined_call_operand"):
                return tail
            text = operation.named.get("on_true") or (operation.operands[0] if operation.operands else "")
        return "unknown"

    # Reading -----------------------------------------------------------------------------------------------------

    def reader(self, text: str) -> Callable[[], Value]:
        """A closure that gives the operand's value now."""
        if text.startswith("%"):
            values, place = self.values, self._place(text[1:])
            return lambda: values[place]
        constant = self._constant(text)
        return lambda: constant

    def _constant(self, text: str) -> Value:
        if text.lstrip("-").isdigit():
            return int(text) & 0xFFFFFFFF
        symbol = _SYMBOL.search(text)
        if symbol is None:
            return UNKNOWN
        bits = _FLAG_BITS if symbol[0] in self._flags else _ADDRESS_BITS
        base = self._symbols.setdefault(symbol[0], (len(self._symbols) + 1) << bits)
        return base + sum(int(offset, 16) for offset in re.findall(r"\$(0x[0-9a-f]+)", text))

    def _address(self, text: str) -> Callable[[], Value]:
        """A closure that gives the address inside `[smem:[...]]`."""
        match = SCALAR_MEMORY.search(text)
        if match is None:
            return lambda: UNKNOWN
        parts = [self.reader(part.strip()) for part in match["inside"].split(" + ") if "%" in part]
        fixed = " + ".join(part for part in match["inside"].split(" + ") if "%" not in part) + match["more"]
        base = (
            self._constant(fixed)
            if "#" in fixed
            else sum(int(h, 16) for h in re.findall(r"\$(0x[0-9a-f]+)", fixed))
        )

        def address() -> Value:
            total = base
            for part in parts:
                value = part()
                if value is UNKNOWN or total is UNKNOWN:
                    return UNKNOWN
                total = (total + value) & 0xFFFFFFFF  # type: ignore[operator]
            return total

        return address

    # Executing ---------------------------------------------------------------------------------------------------

    def scalar_steps(self, bundle: Bundle) -> list[Callable[[], None]]:
        """Closures of a bundle's scalar operations, in an order that reads before it writes."""
        steps: list[Callable[[], None]] = []
        written: dict[int, str] = {}
        saved: list[Callable[[], None]] = []
        for operation in bundle.operations:
            if not self._matters(operation):
                continue
            substitutes = {}
            for name in names_read(operation):
                place = self._place(name)
                if place in written and written[place] != name:
                    substitutes["%" + name] = copy = f"%before.{next(_serial)}"
                    saved.append(self._mover(self.reader("%" + name), self._place(copy[1:])))
            steps.append(self._closure(operation, substitutes))
            if operation.dest is not None and operation.opcode != "sst":
                written[self._place(operation.dest)] = operation.dest
        return saved + steps

    def _matters(self, operation: Operation) -> bool:
        if operation.opcode.startswith(("sbr", "dma.", "vsync", "shalt", "sphi")):
            return False
        if operation.opcode == "sst":
            return is_open_store(operation) or operation.dest in self._needed
        return operation.dest is not None and operation.dest in self._needed

    def _mover(self, read: Callable[[], Value], place: int) -> Callable[[], None]:
        values = self.values

        def move() -> None:
            values[place] = read()

        return move

    def _closure(self, operation: Operation, substitutes: dict[str, str]) -> Callable[[], None]:
        """One operation, with its guard."""

        def reader(text: str) -> Callable[[], Value]:
            return self.reader(substitutes.get(text, text))

        if operation.opcode == "sst":
            return self._store(operation, reader)
        compute = self._computation(operation, reader)
        assert operation.dest is not None
        values, place = self.values, self._place(operation.dest)
        if operation.guard is None:
            return self._mover(compute, place)
        guard, wanted = reader("%" + operation.guard), not operation.negated
        keep = reader(operation.old) if operation.old else lambda: values[place]

        def guarded() -> None:
            holds = guard()
            if holds is UNKNOWN:
                values[place] = UNKNOWN
            else:
                values[place] = compute() if bool(holds) is wanted else keep()

        return guarded

    def _computation(
        self, operation: Operation, reader: Callable[[str], Callable[[], Value]]
    ) -> Callable[[], Value]:
        if operation.note == "core_id":
            return lambda: self.core
        if operation.note == "chip_id":
            return lambda: 0
        if operation.opcode == "sld":
            return self._load(operation)
        if operation.opcode == "scalar_select":
            chosen, yes, no = (reader(operation.named[label]) for label in ("predicate", "on_true", "on_false"))
            return lambda: UNKNOWN if (p := chosen()) is UNKNOWN else yes() if p else no()
        if operation.opcode.startswith("inlined_call_operand."):
            return self._argument(operation)
        function = _function(operation)
        if function is None:
            return lambda: UNKNOWN
        first = reader(operation.operands[0])
        second = reader(operation.operands[1]) if len(operation.operands) > 1 else lambda: 0
        return lambda: function(first(), second())

    def _argument(self, operation: Operation) -> Callable[[], Value]:
        """An operand of the call: a scalar by value (known if somebody supplied it), else an address."""
        if operation.opcode == "inlined_call_operand.":  # no memory space: by value
            number = _operand_number(operation)
            return lambda: words[0] & 0xFFFFFFFF if (words := self.operands.get(number)) else UNKNOWN
        base = self._constant(f"#operand_{operation.dest}")
        return lambda: base

    def _load(self, operation: Operation) -> Callable[[], Value]:
        address, memory = self._address(operation.operands[0]), self._words(operation)
        return lambda: UNKNOWN if (a := address()) is UNKNOWN else memory.get(a, UNKNOWN)  # type: ignore[arg-type]

    def _words(self, operation: Operation) -> dict[int, Value]:
        return self._spilled if "_spill]" in operation.operands[0] else self._memory

    def _store(self, operation: Operation, reader: Callable[[str], Callable[[], Value]]) -> Callable[[], None]:
        address, value, memory = (
            self._address(operation.operands[0]),
            reader(operation.operands[-1]),
            self._words(operation),
        )
        guard = reader("%" + operation.guard) if operation.guard else lambda: True
        wanted = not operation.negated if operation.guard else True

        def store() -> None:
            holds, where = guard(), address()
            if where is UNKNOWN:
                memory.clear()  # it may have been any word
            elif holds is UNKNOWN:
                memory[where] = UNKNOWN  # type: ignore[index]
            elif bool(holds) is wanted:
                memory[where] = value()  # type: ignore[index]

        return store


_serial = itertools.count()
_SAME_PLACE = ("int_to_ptr.", "sshll.u32", "sshrl.u32", "smov.u32")  # shifts only change the unit of an address


def _operand_number(operation: Operation) -> int:
    return int(operation.operands[operation.operands.index("index:") + 1])


_DIVISIONS = {"kRem": "remainder", "kDiv": "divide"}


def _function(operation: Operation) -> Function | None:
    """Arithmetic of an operation; None when its result cannot be known from the text."""
    if not operation.operands:
        return None
    if operation.opcode == "sdivrem.u32":
        return FUNCTIONS.get(_DIVISIONS.get(operation.note, ""))
    if operation.opcode == "spop.drf" or operation.opcode.startswith("int_to_ptr."):
        return FUNCTIONS["smov.u32"]
    return FUNCTIONS.get(operation.opcode)


def _flag_symbols(program: Program) -> set[str]:
    """Allocations that are sync flags, by how they are used."""
    found: set[str] = set()
    for operation in (op for bundle in program.bundles for op in bundle.operations):
        texts = [operation.named["dst_syncflagno"]] if "dst_syncflagno" in operation.named else []
        if operation.opcode.startswith(_FLAG_OPERATIONS):
            texts.extend(operation.operands[:1])
        found.update(symbol[0] for text in texts if (symbol := _SYMBOL.search(text)))
    return found


def _register(name: str) -> str:
    return name.rpartition("_")[2]
