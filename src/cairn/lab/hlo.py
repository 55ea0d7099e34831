"""The scheduled HLO of a whole program: what runs, in order, with sizes and memory spaces.

Reads the text that the TPU compiler dumps (`*TLP-hlo.txt`). It is not a contract; what cannot be read raises
`UnreadableHlo` and ends as a refusal.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_COMPUTATION = re.compile(r"^(?P<entry>ENTRY )?%(?P<name>\S+) \(.*\{$")
_SHAPE = re.compile(r"(?P<dtype>[a-z]+\d*(?:e\d+m\d+\w*)?)\[(?P<dims>[\d,]*)\](?:\{(?P<layout>[^}]*)\})?")
_SPACE = re.compile(r"S\((\d+)\)")
_OPERAND = re.compile(r"%([^\s,()]+)")
_BITS = re.compile(r"\d+")
_CLOSE = re.compile(r"\}(?:$|, execution_thread)")  # a computation's end; attributes may also begin a line so
_COMMENT = re.compile(r"/\*.*?\*/")


class UnreadableHlo(Exception):
    """The HLO text is not of the known form."""


@dataclass(frozen=True)
class Shape:
    """One array of a result. `space` 0 is HBM, 1 on-chip vector memory; others are small."""

    dtype: str
    dims: tuple[int, ...]
    space: int
    layout: str = ""

    @property
    def size_bytes(self) -> int:
        bits = 8 if self.dtype == "pred" else int((_BITS.search(self.dtype) or ["0"])[0])
        return math.prod(self.dims) * bits // 8


@dataclass(frozen=True)
class Instruction:
    """One scheduled instruction. `attributes` is the text behind the operands; `literal` that of a constant."""

    name: str
    opcode: str
    shapes: tuple[Shape, ...]
    operands: tuple[str, ...]
    attributes: str
    literal: str = ""

    def attribute(self, key: str) -> str | None:
        """Value of a `key=value` attribute, without the leading `%`."""
        match = re.search(rf"\b{key}=%?([^\s,]+|\"[^\"]*\")", self.attributes)
        return match[1].strip('"') if match else None


@dataclass
class Computation:
    """Instructions in schedule order."""

    name: str
    instructions: list[Instruction] = field(default_factory=list)
    root: Instruction | None = None
    _by_name: dict[str, Instruction] = field(default_factory=dict)

    def find(self, name: str) -> Instruction | None:
        return self._by_name.get(name)

    def add(self, instruction: Instruction, *, is_root: bool) -> None:
        self.instructions.append(instruction)
        self._by_name[instruction.name] = instruction
        self.root = instruction if is_root else self.root


@dataclass(frozen=True)
class Module:
    """All computations by name."""

    computations: dict[str, Computation]
    entry: Computation


def parse(text: str) -> Module:
    """Parse a scheduled module.

    Raises:
        UnreadableHlo: no entry computation, or an instruction of unknown form.
    """
    computations: dict[str, Computation] = {}
    entry: Computation | None = None
    current: Computation | None = None
    for line in _joined(text):
        if current is None:
            match = _COMPUTATION.match(line)
            if match:
                current = computations[match["name"]] = Computation(match["name"])
                entry = current if match["entry"] else entry
        elif _CLOSE.match(line):
            current = None
        elif line.strip():
            _add(current, line.strip())
    if entry is None:
        raise UnreadableHlo("no entry computation in the scheduled HLO")
    return Module(computations, entry)


def _joined(text: str) -> Iterator[str]:
    """Lines, with the continuation of an instruction whose attributes contain line ends put back."""
    held: str | None = None
    for line in text.splitlines():
        if (
            held is not None
            and not line.startswith(("  %", "  ROOT ", "%", "ENTRY "))
            and line
            and not _CLOSE.match(line)
        ):
            held += " " + line
            continue
        if held is not None:
            yield held
            held = None
        if line.startswith(("  %", "  ROOT ")):
            held = line
        else:
            yield line
    if held is not None:
        yield held


def _add(computation: Computation, line: str) -> None:
    is_root = line.startswith("ROOT ")
    computation.add(_instruction(line.removeprefix("ROOT ")), is_root=is_root)


def _instruction(line: str) -> Instruction:
    name, found, rest = line.partition(" = ")
    if not found or not name.startswith("%"):
        raise UnreadableHlo(f"not an instruction: {line[:120]!r}")
    end = _closing(rest) + 1 if rest.startswith("(") else rest.find(" ")
    shape_text, rest = rest[:end], rest[end:].lstrip()
    opcode, _, rest = rest.partition("(")
    end = _closing("(" + rest) - 1
    inside = _COMMENT.sub("", rest[:end])
    shapes = tuple(_shape(match) for match in _SHAPE.finditer(_COMMENT.sub("", shape_text)))
    operands = () if opcode in ("constant", "parameter") else tuple(_OPERAND.findall(inside))
    literal = inside if opcode in ("constant", "parameter") else ""
    return Instruction(name[1:], opcode, shapes, operands, rest[end + 1 :], literal)


def _closing(text: str) -> int:
    """Index of the parenthesis that closes the one at the start."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return index
    raise UnreadableHlo(f"unbalanced: {text[:120]!r}")


def _shape(match: re.Match[str]) -> Shape:
    space = _SPACE.search(match["layout"] or "")
    dims = tuple(int(dim) for dim in match["dims"].split(",") if dim)
    return Shape(match["dtype"], dims, int(space[1]) if space else 0, match["layout"] or "")
