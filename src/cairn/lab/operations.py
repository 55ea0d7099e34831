"""One operation of a bundle: `%dest = opcode (guard), operand, operand, label=operand`, and how to read it."""

import re
from dataclasses import dataclass

# Queued units: the matrix units (push, multiply, pop), cross-lane and transcendental units, the random generator.
UNIT_PREFIXES = ("vmat", "vpop", "vdwg", "vxpose", "vrng")
_FORM = re.compile(
    r"(?:%(?P<dest>[\w.]+) = )?(?P<opcode>[a-z][\w.\-]*)(?:\[(?P<slot>\d+)\])?(?P<unit>\.[\w.]+)?(?P<rest>.*)",
    re.DOTALL,
)
_GUARD = re.compile(r"\((?P<neg>!?)%(?P<name>[\w.]+)(?:, *(?P<old>[^()]+?))?\)")
_THREAD = re.compile(r"\[(?:thread|resolvable|shape|deref)[^\]]*\]")
_TOKEN = re.compile(r"(?:(?P<label>\w+)=)?(?P<value>\[\w+:\[[^\]]*\][^\]]*\]|\[[^\]]*\]|\{[^}]*\}|[^,\s]+)")
_NAME = re.compile(r"%([\w.]+)")
_NOTE = re.compile(r" @(\w+)")
_SPELLINGS = {"smov": "smov.u32"}  # of libtpu 0.0.40, in today's words


@dataclass(frozen=True)
class Operation:
    """What the models need to know of one slot.

    Attributes:
        dest: name of the value it defines, without `%`; None when it defines none.
        guard: name of the predicate under which it happens; `negated` when it must be false.
        old: operand that the destination keeps when the guard does not hold (the select form).
        operands: positional and labelled operands as written. `named`: the labelled ones by label.
        note: the one meaningful word of its comment (`core_id`, `kRem`, ...), or "".
        slot: number in brackets behind the opcode: a place in the result buffer.
    """

    opcode: str
    dest: str | None
    guard: str | None
    negated: bool
    old: str | None
    operands: tuple[str, ...]
    named: dict[str, str]
    note: str
    slot: int | None = None


def parse_operation(text: str) -> Operation | None:
    """Read one slot; None when the text is not an operation."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    rest, note = match["rest"], ""
    if " @" in rest:
        found = _NOTE.search(rest)
        note = found[1] if found else ""
        rest = _NOTE.sub("", rest)
    guard = None
    if "(" in rest:
        guard = _GUARD.search(rest)
        if guard is not None:
            rest = rest[: guard.start()] + rest[guard.end() :]
    rest = _THREAD.sub("", rest)
    operands, named = [], {}
    for token in _TOKEN.finditer(rest):
        operands.append(token["value"])
        if token["label"]:
            named[token["label"]] = token["value"]
    opcode = match["opcode"] + (match["unit"] or "")
    return Operation(
        opcode=_SPELLINGS.get(opcode, opcode),
        dest=match["dest"],
        guard=guard["name"] if guard else None,
        negated=bool(guard and guard["neg"]),
        old=guard["old"] if guard else None,
        operands=tuple(operands),
        named=named,
        note=note,
        slot=int(match["slot"]) if match["slot"] else None,
    )


def names_read(operation: Operation) -> list[str]:
    """Names of the values that an operation reads, guard and kept value included."""
    texts = [*operation.operands, operation.old or ""]
    names = [name for text in texts for name in _NAME.findall(text)]
    return [*names, operation.guard] if operation.guard else names
