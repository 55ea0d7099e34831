"""Parser of the compiler's final VLIW bundles (`*-final_bundles.txt`): text in, a `Program` out.

One line is one bundle, one bundle is one issue cycle. Only what decides control flow, memory traffic and the
queued units is kept; the other vector operations cost nothing beyond their bundle. The text is not a contract of
libtpu: a line that looks like a bundle and cannot be read raises `Unreadable`, so that drift becomes a refusal.
"""

import re
from dataclasses import dataclass, field

from cairn.lab.operations import UNIT_PREFIXES, Operation, parse_operation

_BUNDLE = re.compile(r"^ *(0x[0-9a-f]+|0) +((?:[A-Z]{2})?(?:, *[A-Z]{2})*) *: *((?:> *)*)(?=\{)", re.MULTILINE)
_LABEL = re.compile(r"/\*(\w+)=\*/")
_COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)
_REGION = re.compile(r"(Start/End empty|Start|End) region (\d+)")
_NOTES_THAT_MATTER = ("core id", "chip id", "kRem", "kDiv", "vmem-to-vmem")
_KEPT = ("s", "p", "dma", "int_to_ptr", "inlined_call", "reloc", "vsync", "vpush", "vwait", *UNIT_PREFIXES)


class Unreadable(Exception):
    """The text is not what this parser knows."""


@dataclass
class Bundle:
    """One issue cycle: the operations that matter, and the nest depth printed beside it."""

    operations: list[Operation] = field(default_factory=list)
    depth: int = 0
    empty: bool = False
    spills: int = 0
    fills: int = 0


@dataclass(frozen=True)
class Program:
    """A kernel's bundles in address order; where its regions start and end (bundle index by region number).

    `has_exit`: the last bundle is a branch target of its own. `uses_core_id`: the program asks which core it is.
    """

    bundles: list[Bundle]
    region_starts: dict[int, int]
    region_ends: dict[int, int]
    uses_core_id: bool
    has_exit: bool = False


def parse(text: str) -> Program:
    """Parse a bundle dump.

    Raises:
        Unreadable: there is no bundle, or a bundle does not have the known form.
    """
    heads = list(_BUNDLE.finditer(text))
    if not heads:
        raise Unreadable("no bundles in the dump")
    bundles: list[Bundle] = []
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for index, head in enumerate(heads):
        if int(head[1], 16) != index:
            raise Unreadable(f"bundle {index} has the address {head[1]}")
        end = heads[index + 1].start() if index + 1 < len(heads) else len(text)
        bundle, marks = _bundle(text[head.end() : end], head[3].count(">"))
        bundles.append(bundle)
        for kind, region in marks:
            if kind != "End":
                starts.setdefault(region, index)
            if kind != "Start":
                ends.setdefault(region, index)
    return Program(bundles, starts, ends, "core id" in text, has_exit="PF" in heads[-1][2] and bundles[-1].empty)


def _bundle(body: str, depth: int) -> tuple[Bundle, list[tuple[str, int]]]:
    """One bundle and the region marks beside it."""
    comments: list[str] = []
    if "/*" in body:
        body = _LABEL.sub(r"\1=", body)
        body = _COMMENT.sub(lambda match: _note(match[1], comments), body)
    inside = body[body.find("{") + 1 : body.rfind("}")].strip()
    bundle = Bundle(depth=depth, empty=not inside)
    for piece in inside.split(";;") if inside else ():
        _add(bundle, piece.strip())
    return bundle, [(kind, int(number)) for comment in comments for kind, number in _REGION.findall(comment)]


def _note(comment: str, comments: list[str]) -> str:
    """Keep the few words of a comment that carry meaning; remember region marks."""
    if "region" in comment:
        comments.append(comment)
    for word in _NOTES_THAT_MATTER:
        if word in comment:
            return f" @{word.replace(' ', '_').replace('-', '_')}"
    return ""


def _add(bundle: Bundle, piece: str) -> None:
    operation = parse_operation(piece)
    if operation is None:
        raise Unreadable(f"unknown form of operation: {piece[:120]!r}")
    if operation.opcode == "vst" and "_spill]" in piece:
        bundle.spills += 1
    elif operation.opcode == "vld" and "_spill]" in piece:
        bundle.fills += 1
    if operation.opcode.startswith(_KEPT):
        bundle.operations.append(operation)
