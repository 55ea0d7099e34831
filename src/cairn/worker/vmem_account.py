"""What a kernel's blocks ask of vector memory, before the compiler is asked.

The compiler unrolls a whole block before it finds that the blocks do not fit, which takes minutes for a large one. Here
only what is certain counts: blocks that a pipeline fetches or stores, without padding, twice where the compiler cannot
do with one buffer. Scratch may turn out to be dead, and XLA may park an operand that is small enough in vector memory,
where the kernel reads it without a block of its own; neither is taken as certain.
"""

import math
from dataclasses import dataclass
from typing import Any

from jaxlib.mlir import ir
from mosaic_memory import is_semaphore, memory_space, memref_parts  # type: ignore[import-not-found]
from mosaic_module import (  # type: ignore[import-not-found]
    DYNAMIC,
    Kernel,
    body_of,
    config_of,
    decode,
    function_named,
    new_context,
)
from mosaic_types import Unreplayable  # type: ignore[import-not-found]

KERNEL_CALL = "tpu_custom_call"
_MIB = 2**20
# By topology: vector memory of a core, and what a kernel may use that states no limit; as libtpu's errors say.
_CAPACITY_MIB = {"v4": 16, "v5e": 128, "v5p": 64, "v6e": 128, "tpu7x": 64}
_DEFAULT_MIB = {"v4": 16, "v5e": 16, "v5p": 16, "v6e": 32, "tpu7x": 64}
_MOST_NAMED = 6
_MAX_LOCATION_CHARS = 2000
_UNREADABLE = (Unreplayable, ir.MLIRError, ValueError, KeyError, IndexError, TypeError, AttributeError)


class VmemExceeded(Exception):
    """The blocks of a kernel cannot fit in vector memory."""


@dataclass(frozen=True)
class Block:
    """A buffer of a kernel in vector memory.

    Attributes:
        name: what it is for, with its type.
        size_bytes: of one copy, without padding.
        twice: the pipeline needs two of it.
        array_bytes: of the array that it is cut from, None for scratch.
    """

    name: str
    size_bytes: int
    twice: bool
    array_bytes: int | None

    @property
    def total_bytes(self) -> int:
        return self.size_bytes * (2 if self.twice else 1)

    def __str__(self) -> str:
        return f"{self.name}{' twice' if self.twice else ''} {self.total_bytes / _MIB:,.1f} MiB"


@dataclass(frozen=True)
class Account:
    """All buffers of one kernel in vector memory, its own limit if it states one, and where it stands."""

    blocks: tuple[Block, ...]
    limit_bytes: int | None
    location: str

    def __str__(self) -> str:
        largest = sorted(self.blocks, key=lambda block: -block.total_bytes)
        return "; ".join(str(block) for block in largest[:_MOST_NAMED])

    def excess(self, topology: str) -> str | None:
        """Why the blocks cannot fit; None where they may."""
        generation = topology.partition(":")[0]
        capacity = _CAPACITY_MIB[generation] * _MIB
        limit = min(capacity, self.limit_bytes or _DEFAULT_MIB[generation] * _MIB)
        windows = [(block, block.array_bytes) for block in self.blocks if block.array_bytes is not None]
        single = sum(block.size_bytes for block, _ in windows)
        needed = sum(  # of arrays that cannot be parked beside the other blocks
            block.total_bytes
            for block, array_bytes in windows
            if array_bytes + single - block.size_bytes > capacity
        )
        if needed > limit:
            return f"{needed / _MIB:,.1f} MiB of {limit / _MIB:,.1f} MiB for blocks alone"
        return None


def accounts(module: str) -> list[Account]:
    """The account of every kernel of an exported module that can be read; in the order of the program."""
    found = []
    with new_context(), ir.Location.unknown():
        for operation in _operations(ir.Module.parse(module).operation):
            if operation.name == "stablehlo.custom_call" and KERNEL_CALL in str(
                operation.attributes["call_target_name"]
            ):
                try:
                    found.append(_account(operation))
                except _UNREADABLE:  # the compiler may know what this does not
                    continue
    return found


def check(kernels: list[Account], topology: str) -> None:
    """Refuse what cannot fit.

    Raises:
        VmemExceeded: names the buffers.
    """
    for account in kernels:
        excess = account.excess(topology)
        if excess is not None:
            raise VmemExceeded(f"ran out of memory in vmem: {excess}: {account}\n{account.location}")


def _operations(operation: Any) -> Any:
    for region in operation.regions:
        for block in region:
            for view in block:
                yield view.operation
                yield from _operations(view.operation)


def _account(call: Any) -> Account:
    kernel = decode(body_of(call))
    limits = [
        int(entry["size"])
        for entry in config_of(call).get("scoped_memory_configs", ())
        if int(entry.get("memory_space", 1)) == 1
    ]
    scratch = [
        Block(f"scratch {_type(type_)}", _bytes(type_), False, None)
        for type_ in kernel.scratch_types
        if not is_semaphore(type_) and memory_space(type_) == "vmem"
    ]
    location = str(call.location)[:_MAX_LOCATION_CHARS]
    return Account((*_windows(call, kernel), *scratch), min(limits) if limits else None, location)


def _windows(call: Any, kernel: Kernel) -> list[Block]:
    """Blocks that are copied step by step; none for a grid of one step, whose operands may be used where they are."""
    steps = math.prod(2 if bound == DYNAMIC else bound for bound in kernel.grid)
    first = kernel.dynamic_bounds + kernel.prefetched
    arrays = [operand.type for operand in call.operands][first:]
    inputs = len(arrays)
    arrays += [result.type for result in call.results]
    params = kernel.function.attributes["window_params"] if kernel.grid else []
    found = []
    for number, (type_, array) in enumerate(zip(kernel.window_types, arrays, strict=True)):
        window = kernel.windows[number]
        if window.bounds is None or steps < 2 or memory_space(type_) != "vmem":
            continue
        synchronous = "pipeline_mode" in ir.DictAttr(params[number])
        moves = _moves(function_named(kernel.module, window.transform))
        what = f"input {number}" if number < inputs else f"output {number - inputs}"
        size = math.prod(array.shape) * _element_bits(array.element_type) // 8
        found.append(Block(f"{what} {_type(type_)}", _bytes(type_), moves and not synchronous, size))
    return found


def _moves(transform: Any) -> bool:
    """Whether the place of a block depends on the step at all."""
    block = transform.regions[0].blocks[0]
    last = list(block.operations)[-1].operation
    return any(
        isinstance(value.owner, ir.Block) or value.owner.name != "arith.constant" for value in last.operands
    )


def _bytes(type_: Any) -> int:
    shape, _ = memref_parts(type_)
    return int(math.prod(shape)) * _element_bits(ir.MemRefType(type_).element_type) // 8


def _type(type_: Any) -> str:
    shape, element = memref_parts(type_)
    return f"{element}[{','.join(map(str, shape))}]"


def _element_bits(element: Any) -> int:
    if isinstance(element, ir.IntegerType | ir.FloatType):
        return max(int(element.width), 1)
    return 32
