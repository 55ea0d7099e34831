"""Which words a kernel call's operands hold, as far as the program says: constants, and what follows from them.

The scheduled HLO has its own constants; what XLA computes at run time was worked out beside the compile
(`CompileResult.known`). Calls are recognised by the types of their operands; where several calls are alike and
their words differ, they are told apart by the order of their names, which is the order of the program.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cairn.lab.hlo import Instruction, Module, Shape

Words = tuple[int, ...]
KERNEL = "tpu_custom_call"
_TENSOR = re.compile(r"tensor<((?:\d+x)*)([a-z]\w*)>")
_TILE = re.compile(r"T\(([\d,]+)\)(?:\((\d+),1\))?")
_NARROW = re.compile(r"[su](8|16)$")
_WORD_BITS = 32
_DIGITS = re.compile(r"(\d+)$")


class KnownOperands:
    """Words of the operands of a module's kernel calls, by operand number."""

    def __init__(self, module: Module, calls: Sequence[Mapping[str, Any]]) -> None:
        instructions = [
            (instruction, computation)
            for computation in module.computations.values()
            for instruction in computation.instructions
            if instruction.attribute("custom_call_target") == KERNEL
        ]
        self._words: dict[str, dict[int, Words]] = {}
        alike: dict[tuple[Any, ...], list[Instruction]] = {}
        shapes: dict[str, list[Shape | None]] = {}
        for instruction, computation in instructions:
            operands = [computation.find(name) for name in instruction.operands]
            shapes[instruction.name] = [o.shapes[0] if o and len(o.shapes) == 1 else None for o in operands]
            key = tuple((shape.dims, shape.dtype) if shape else None for shape in shapes[instruction.name])
            alike.setdefault(key, []).append(instruction)
        for key, members in alike.items():
            candidates = [call for call in calls if _key(call["operands"]) == key]
            for instruction, call in _paired(members, candidates):
                stored = {
                    int(number): _as_stored(words, shapes[instruction.name][int(number)])
                    for number, words in call["values"].items()
                }
                self._words[instruction.name] = {
                    number: words for number, words in stored.items() if words is not None
                }

    def of(self, instruction: Instruction) -> dict[int, Words]:
        return self._words.get(instruction.name, {})


def _key(types: Iterable[str]) -> tuple[Any, ...]:
    matches = (_TENSOR.fullmatch(text) for text in types)
    return tuple(
        (tuple(int(n) for n in match[1].split("x") if n), _DTYPES.get(match[2], match[2])) if match else None
        for match in matches
    )


_DTYPES = {
    **{f"i{bits}": f"s{bits}" for bits in (2, 4, 8, 16, 32, 64)},
    **{f"ui{bits}": f"u{bits}" for bits in (2, 4, 8, 16, 32, 64)},
    "i1": "pred",
    "f8E4M3FN": "f8e4m3fn",
    "f8E5M2": "f8e5m2",
    "f8E4M3B11FNUZ": "f8e4m3b11fnuz",
}


def _paired(
    members: list[Instruction], candidates: list[Mapping[str, Any]]
) -> list[tuple[Instruction, Mapping[str, Any]]]:
    if not candidates:
        return []
    if all(call["values"] == candidates[0]["values"] for call in candidates):
        return [(instruction, candidates[0]) for instruction in members]
    if len(members) != len(candidates) or not all(call["values"] for call in candidates):
        return []  # one of them, of which nothing is known, would be taken for another
    return list(zip(sorted(members, key=_number), candidates, strict=True))


def _number(instruction: Instruction) -> int:
    match = _DIGITS.search(instruction.name)
    return int(match[1]) if match else 0


def _as_stored(words: Sequence[int], shape: Shape | None) -> Words | None:
    """Elements in the order in which they lie in memory: rows padded to tiles, tiles one after the other.

    Of narrow types several rows share the words of one, the first in the lowest bits. None for another layout of them.
    """
    tile = _TILE.search(shape.layout) if shape else None
    narrow = _NARROW.match(shape.dtype) if shape else None
    share = _WORD_BITS // int(narrow[1]) if narrow else 1
    if shape is None or tile is None or len(shape.dims) < 2:
        return tuple(words) if share == 1 else None
    high, low = ([1, *(int(n) for n in tile[1].split(","))])[-2:]
    if int(tile[2] or 1) != share or high % share:
        return None
    *outer, rows, columns = shape.dims
    across, down = math.ceil(columns / low), math.ceil(rows / high)
    stored = [0] * (math.prod(outer) * down * across * high // share * low)
    for index, word in enumerate(words):
        rest, column = divmod(index, columns)
        plane, row = divmod(rest, rows)
        place = ((plane * down + row // high) * across + column // low) * (high // share) * low
        place += row % high // share * low + column % low
        stored[place] |= _part(word, row % share, share)
    return tuple(stored)


def _part(word: int, number: int, share: int) -> int:
    """A narrow element at its place in a word, as a signed word; a whole word as it is."""
    if share == 1:
        return word
    bits = _WORD_BITS // share
    value = (word & ((1 << bits) - 1)) << (number * bits)
    return value - (1 << _WORD_BITS) if value >> (_WORD_BITS - 1) else value
