"""Which scalar values decide anything: branches, copies, waits, and memory that is read again.

The text is in static single assignment, so this is a closure over names. Bounds checks and addresses fall away,
which is most of the scalar program.
"""

import re
from collections.abc import Mapping

from cairn.lab.bundles import Program
from cairn.lab.operations import Operation, names_read

SCALAR_MEMORY = re.compile(r"\[smem:\[(?P<inside>[^\]]*)\](?P<more>[^\]]*)\]")


def what_decides(program: Program, definitions: Mapping[str, Operation]) -> set[str]:
    """Names whose value can reach a branch, a copy, a wait or scalar memory that is read again.

    The compiler's dumps of very large programs lack an operation here and there. A name without a definition stays
    unknown: if it decides anything, the program is refused.
    """
    needed: set[str] = set()
    stores: dict[str, list[Operation]] = {}
    work: list[str] = []
    for operation in (op for bundle in program.bundles for op in bundle.operations):
        if operation.opcode == "sst":
            stores.setdefault(_memory_key(operation), []).append(operation)
        if operation.opcode.startswith(("sbr", "dma.", "vsync")) or is_open_store(operation):
            work.extend(names_read(operation))
    while work:
        name = work.pop()
        if name in needed:
            continue
        needed.add(name)
        definition = definitions.get(name)
        if definition is None:
            continue
        work.extend(names_read(definition))
        if definition.opcode == "sld":
            for store in stores.pop(_memory_key(definition), ()):
                needed.add(store.dest or "")
                work.extend(names_read(store))
    return needed


def _memory_key(operation: Operation) -> str:
    match = SCALAR_MEMORY.search(operation.operands[0])
    return match["inside"] if match and "%" not in match["inside"] else "*"


def is_open_store(operation: Operation) -> bool:
    return operation.opcode == "sst" and "_spill]" not in operation.operands[0]
