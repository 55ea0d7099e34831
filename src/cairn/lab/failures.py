"""Turn an error of tracing, lowering or compiling into a class, one telling line and a hint.

The texts are those of jax and libtpu; they are not a contract and drift between versions, so a text that matches
nothing is `compile_error` with its first informative line, never a guess. The same function serves the errors that
a candidate raises while it is lowered and those that the compiler raises afterwards.
"""

import re
from dataclasses import dataclass

KINDS = (
    "vmem_oom",
    "smem_oom",
    "hbm_oom",
    "block_shape",
    "unsupported",
    "alignment",
    "bounds",
    "dtype",
    "layout",
    "crash",
    "timeout",
    "compile_error",
)
_MAX_LINE_CHARS = 400
_MAX_DETAIL_CHARS = 8_000


@dataclass(frozen=True)
class Failure:
    """Why there is no program, or no answer.

    Attributes:
        kind: one of `KINDS`.
        line: the first informative line of the message.
        source: `file:line` of the kernel's own code, when the text names it.
        hint: what to try, in plain words.
        detail: the message, bounded.
    """

    kind: str
    line: str
    source: str | None
    hint: str
    detail: str


# Order matters: the first rule that matches wins. (kind, pattern over "type: message", flags-free regex)
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for kind, pattern in (
        ("smem_oom", r"exceed\w* smem|smem.{0,40}(oom|exceeded|capacity)|memory space smem|smemoom"),
        ("smem_oom", r"(ran out of memory|would exceed memory|RESOURCE_EXHAUSTED).{0,400}\bsmem\b"),
        ("hbm_oom", r"E1000|CompileTimeHbmOom|(ran out of memory|exceed\w*).{0,200}\bhbm\b"),
        ("vmem_oom", r"E1001|ScopedVmemOom|(ran out of memory|exceed\w*).{0,300}\bvmem\b|\bvmem\b.{0,200}exceed"),
        ("vmem_oom", r"RESOURCE_EXHAUSTED.{0,2000}(input window|output window|scratch operand|scoped)"),
        (
            "block_shape",
            r"last two dimensions of your block shape|block shape.{0,200}(divisible|must)|block_shape",
        ),
        ("block_shape", r"rank of.{0,40}block|block.{0,80}same (rank|number of dimensions)"),
        ("bounds", r"out of bound|out-of-bound|is out of range|slice.{0,60}exceeds"),
        (
            "alignment",
            r"E2003|unproven|not aligned|misaligned|must be (a multiple|aligned)|alignment|divisible by the tiling",
        ),
        (
            "dtype",
            r"Invalid vector type|unsupported (element |data )?type|bitwidth|not supported.{0,40}\b(f16|f64|i64|u64)\b",
        ),
        (
            "dtype",
            r"TypeError.{0,400}dtype|expected matmul acc|Unsupported (input|output|lhs|rhs|accumulator) .{0,30}type",
        ),
        (
            "layout",
            r"(infer|unsupported|invalid|relayout|incompatible).{0,60}layout|layout.{0,60}(mismatch|not supported)",
        ),
        ("layout", r"Unsupported.{0,40}(shape cast|reshape|relayout|transpose)|shape cast"),
        (
            "unsupported",
            r"Unimplemented primitive|NotImplementedError|not implemented|Cannot store scalars to VMEM",
        ),
        ("unsupported", r"Only .{0,60}(supported|implemented)|failed to legalize|UNIMPLEMENTED|not supported"),
    )
)

_HINTS = {
    "vmem_oom": "The blocks, their double buffers and the scratch do not fit in VMEM: use smaller blocks, keep "
    "fewer live at once, or raise vmem_limit_bytes up to what the chip has.",
    "smem_oom": "Too much scalar memory (1 MiB in all): prefetch fewer scalars, or keep the table in VMEM.",
    "hbm_oom": "The whole program does not fit in HBM: recompute, split, or use a smaller intermediate.",
    "block_shape": "The last two dimensions of a block must be divisible by (8, 128), more for narrow types, or "
    "equal those of the array: change the block shape or pad the array.",
    "unsupported": "The TPU backend has no lowering for this operation: write it with supported ones "
    "(elementwise arithmetic, dot, reductions, broadcast, take_along_axis).",
    "alignment": "A dynamic offset could not be proven aligned: step in multiples of the tile and say so with "
    "pl.multiple_of.",
    "bounds": "A static slice or index leaves its array: check the index map and the block count.",
    "dtype": "The type is not supported there: use bfloat16 or float32 operands, float32 accumulators, 32-bit indices.",
    "layout": "The vector layout needed here cannot be made: avoid reshapes that move the last two dimensions.",
    "crash": "The compiler process died: simplify the kernel; the same source will crash it again.",
    "timeout": "Compiling took too long: the unrolled body is probably too large; use smaller blocks or a loop.",
    "compile_error": "Read the line; it matches none of the known classes.",
}
_NOISE = re.compile(
    r"^(\s*|[-=*^~ ]+|For simplicity, JAX has removed.*|Traceback .*|The MLIR operation.*|.*stack frames.*)$"
)
_LOCATION = re.compile(
    r"""(?:at\s+|File\s+|loc\(|from\s+|^\s*)["']?(?P<file>[^\s"'()<>:,]+\.py)["']?(?::|,\s*line\s+)(?P<line>\d+)""",
    re.MULTILINE,
)
_FATAL = re.compile(r"^F\d{4} |Check failed|Fatal Python error|LLVM ERROR|terminate called|Killed|SIG[A-Z]{3,}")
_LIBRARY = re.compile(
    r"cairn/worker/|site-packages|dist-packages|/lib/python\d|/jax/_src/|^jax/|importlib|<frozen"
)


def classify(error_type: str, message: str, traceback: str = "") -> Failure:
    """Class, line, source and hint of an error, from its texts alone.

    Args:
        error_type: name of the exception's class, or `crash` or `timeout` for a process that gave no answer.
        message: `str(error)`.
        traceback: the formatted traceback; used to find the kernel's own line only.
    """
    kind = error_type if error_type in ("crash", "timeout") else _kind(error_type, message)
    return Failure(
        kind, _informative(message), _source(message, traceback), _HINTS[kind], message[:_MAX_DETAIL_CHARS]
    )


def last_words(log: str) -> str:
    """The part of a dead process's log that says why: its first fatal line and what follows, bounded."""
    lines = log.splitlines()
    telling = [i for i, line in enumerate(lines) if _FATAL.search(line)]
    chosen = lines[telling[0] :] if telling else lines[-20:]
    return "\n".join(chosen)[:_MAX_DETAIL_CHARS] or "the compiler process ended without a word"


def _kind(error_type: str, message: str) -> str:
    text = f"{error_type}: {message}"
    for kind, pattern in _RULES:
        if pattern.search(text):
            return kind
    return "compile_error"


def _informative(message: str) -> str:
    for line in message.splitlines():
        if not _NOISE.match(line):
            return line.strip()[:_MAX_LINE_CHARS]
    return message.strip()[:_MAX_LINE_CHARS]


def _source(message: str, traceback: str) -> str | None:
    """The place in code that belongs to nobody's library: the message's own first, else the innermost frame."""
    for text, innermost in ((message, 0), (traceback, -1)):
        own = [m for m in _LOCATION.finditer(text) if not _LIBRARY.search(m["file"])]
        if own:
            return f"{own[innermost]['file']}:{own[innermost]['line']}"
    return None
