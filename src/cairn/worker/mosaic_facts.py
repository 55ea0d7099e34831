"""What stands in a kernel, without running it: operations, matmuls with their precision, operands nobody reads."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from mosaic_build import TERMINATORS, Builder, Node, Tables  # type: ignore[import-not-found]
from mosaic_module import DYNAMIC, Kernel  # type: ignore[import-not-found]
from mosaic_ops_vector import dot_dimensions  # type: ignore[import-not-found]
from mosaic_tables import EFFECTS, PURE, READS  # type: ignore[import-not-found]
from mosaic_types import kind_of  # type: ignore[import-not-found]
from program_constants import constant_fact  # type: ignore[import-not-found]

_VIEWS = {name for name in READS if name.startswith("tpu.memref") or "layout" in name or "cast" in name}
_KNOWN = {"tpu.iteration_bound", *TERMINATORS}


class KernelCount:
    """Counts one kernel: `operations` in its text, `matmuls` over the whole grid, `constants` it carries."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.operations: Counter[str] = Counter()
        self.matmuls: dict[tuple[str, str, str], list[int]] = {}
        self.constants: list[dict[str, Any]] = []
        self.exact = DYNAMIC not in kernel.grid
        turns = int(np.prod([extent for extent in kernel.grid if extent != DYNAMIC], dtype=np.int64))
        self._count(kernel.function, turns, sure=True)

    @property
    def unknown(self) -> list[str]:
        return sorted(set(self.operations) - PURE.keys() - READS.keys() - EFFECTS.keys() - _KNOWN)

    def _count(self, operation: Any, turns: int, *, sure: bool) -> None:
        for view in (view for region in operation.regions for block in region for view in block):
            inner = view.operation
            self.operations[inner.name] += 1
            if inner.name == "tpu.matmul":
                self._count_matmul(inner, turns)
                self.exact = self.exact and sure
            if inner.name == "arith.constant":
                self._count_constant(inner)
            length, known = _turns(inner)
            self._count(inner, turns * length, sure=sure and known)

    def _count_matmul(self, operation: Any, turns: int) -> None:
        lhs, rhs, out = (kind_of(operation.operands[index].type) for index in range(3))
        # |lhs| |rhs| |out| has every free, contracted and batch dimension twice or thrice
        batch = self._batch(operation, lhs)
        sizes = [int(np.prod(kind.shape, dtype=np.int64)) for kind in (lhs, rhs, out)]
        flops = 2 * round((sizes[0] * sizes[1] * sizes[2] / batch) ** 0.5)
        narrow = lhs.dtype != np.float32 and rhs.dtype != np.float32
        full = "precision" in operation.attributes and "fp32" in str(operation.attributes["precision"])
        precision = "exact" if narrow else "fp32" if full else "bf16"
        key = (str(operation.operands[0].type), str(operation.operands[1].type), precision)
        counted = self.matmuls.setdefault(key, [0, 0])
        counted[0] += turns
        counted[1] += turns * flops

    def _batch(self, operation: Any, lhs: Any) -> int:
        axes = dot_dimensions(Node(operation, Builder(Tables(PURE, READS, EFFECTS))))[5]
        return int(np.prod([lhs.shape[axis] for axis in axes], dtype=np.int64))

    def _count_constant(self, operation: Any) -> None:
        fact = constant_fact(operation, self._kernel.name)
        if fact is not None:
            self.constants.append(fact)


def _turns(operation: Any) -> tuple[int, bool]:
    """How often an operation's regions run, and whether that is known from the text."""
    if operation.name in ("scf.if", "scf.while", "scf.index_switch"):
        return 1, False
    if operation.name != "scf.for":
        return 1, True
    bounds = [_constant(operand) for operand in list(operation.operands)[:3]]
    if any(bound is None for bound in bounds):
        return 1, False
    low, high, step = (int(bound or 0) for bound in bounds)
    return len(range(low, high, step)), True


_PURE = ("vector.shape_cast", "vector.broadcast", "arith.")  # without effects but their results
_FOLDED = {"arith.addi": int.__add__, "arith.subi": int.__sub__, "arith.muli": int.__mul__}


def _constant(value: Any) -> int | None:
    """The integer that a value always is, as far as the text says without running it."""
    owner = value.owner
    name = getattr(owner, "name", "")
    if name == "arith.constant":
        return int(ir.IntegerAttr(owner.attributes["value"]).value)
    if name == "arith.index_cast":
        return _constant(owner.operands[0])
    if name in _FOLDED:
        left, right = _constant(owner.operands[0]), _constant(owner.operands[1])
        return None if left is None or right is None else _FOLDED[name](left, right)
    return None


def unread_operands(kernel: Kernel, operands: int) -> list[int]:
    """Operands of the custom call that neither the kernel nor its index maps look at."""
    arguments = list(kernel.function.regions[0].blocks[0].arguments)[len(kernel.grid) :]
    unread = []
    for position in range(kernel.dynamic_bounds, operands):
        place = position - kernel.dynamic_bounds
        if place < kernel.prefetched and _index_map_reads(kernel, place):
            continue
        if not _looked_at(arguments[place]):
            unread.append(position)
    return unread


def _index_map_reads(kernel: Kernel, place: int) -> bool:
    for window in kernel.windows:
        if window.transform:
            function = kernel.transform_function(window.transform)
            argument = list(function.regions[0].blocks[0].arguments)[len(kernel.grid) + place]
            if _looked_at(argument):
                return True
    return False


def _looked_at(buffer: Any) -> bool:
    return any(_reads_it(use.owner.operation, use.operand_number) for use in buffer.uses)


def _reads_it(operation: Any, operand: int) -> bool:
    if operation.name in _VIEWS:
        return any(_looked_at(result) for result in operation.results)
    if operation.name in READS:
        return any(_used(result) for result in operation.results)
    if operation.name in ("vector.store", "tpu.vector_store", "tpu.strided_store", "memref.store"):
        return operand == 0
    if operation.name == "tpu.enqueue_dma":
        return operand == 0
    return str(operation.name) != "tpu.wait_dma2"


def _used(value: Any) -> bool:
    """Whether a value goes anywhere: a store first loads the old value and casts it, and nobody looks at that."""
    return any(_matters(use.owner.operation) for use in value.uses)


def _matters(operation: Any) -> bool:
    if not str(operation.name).startswith(_PURE):
        return True
    return any(_used(result) for result in operation.results)


def skeleton(kernel: Kernel) -> str:
    """A digest of the kernel's text without the grid and without integer constants.

    Equal for two shapes if the author wrote one kernel and only the number of steps differs, so that what a replay
    shows at a small shape is said of the large one's kernel too.
    """
    digest = hashlib.sha256()
    for view in kernel.module.body:
        for line in _lines(view.operation):
            digest.update(line.encode())
    return digest.hexdigest()


def _lines(operation: Any) -> Iterator[str]:
    for region in operation.regions:
        for block in region:
            yield ",".join(str(argument.type) for argument in block.arguments)
            for view in block:
                inner = view.operation
                types = ",".join(str(result.type) for result in inner.results)
                yield f"{inner.name}({len(inner.operands)}):{types}{_said(inner)}"
                yield from _lines(inner)


def _said(operation: Any) -> str:
    attributes = operation.attributes
    if operation.name == "arith.constant" and str(attributes["value"].type) in ("i32", "index"):
        return ""
    return ";".join(f"{name}={attributes[name]}" for name in sorted(attributes))
