"""Turn an error of tracing, lowering or compiling into a class, one telling line and a hint.

The texts are those of jax and libtpu; they are not a contract and drift between versions, so a text that matches
nothing is `compile_error` with its first informative line, never a guess. The same function serves the errors that
a candidate raises while it is lowered and those that the compiler raises afterwards.
"""

import re
from dataclasses import dataclass

_MAX_LINE_CHARS = 400
_MAX_DETAIL_CHARS = 8_000
_MAX_READ_CHARS = 20_000  # of each text: what a candidate raises may be of any size


@dataclass(frozen=True)
class Failure:
    """Why there is no program, or no answer.

    Attributes:
        kind: one of `KINDS`.
        line: the first informative line of the message.
        source: `file:line` of the kernel's own code, when a text names it.
        hint: what to try, in plain words.
        detail: the message, bounded.
    """

    kind: str
    line: str
    source: str | None
    hint: str
    detail: str


_HINTS = {
    "vmem_oom": "The blocks, their double buffers and the scratch do not fit in VMEM: use smaller blocks, keep "
    "fewer live at once, or raise vmem_limit_bytes up to what the chip has.",
    "smem_oom": "Too much scalar memory (1 MiB in all) or too many semaphores: prefetch fewer scalars, keep the "
    "table in VMEM, use a semaphore again once it was awaited.",
    "hbm_oom": "The whole program does not fit in HBM: recompute, split, or use a smaller intermediate.",
    "block_shape": "The last two dimensions of a block must be divisible by (8, 128), more for narrow types, or "
    "equal those of the array, and a block has as many dimensions as its array.",
    "unsupported": "The TPU backend has no lowering for this operation: write it with supported ones "
    "(elementwise arithmetic, dot, reductions, broadcast, take_along_axis).",
    "alignment": "An offset could not be proven aligned to the tile: step in multiples of the tile and say so "
    "with pl.multiple_of.",
    "bounds": "A static slice or index leaves its array: check the index map and the block count.",
    "dtype": "The types do not fit there: bfloat16 or float32 operands, float32 accumulators, 32-bit indices, and "
    "an explicit astype before a store.",
    "shape": "The shapes do not fit together: check the blocks against what the kernel computes and stores.",
    "arguments": "Arguments and parameters do not fit. A function gets what --shapes and --set say; a kernel one "
    "reference for each input, output and scratch, in that order; an index map one index for each axis of the grid, "
    "scalar-prefetch references after them.",
    "import": "A module or name that the file imports is not there: install it into that interpreter, or hand over the "
    "file that has it with --with.",
    "captured": "An array from outside is used inside the kernel: pass it as an input, or make it from scalars.",
    "traced_value": "Python cannot decide by a value that is known on the chip only: use pl.when, jnp.where, lax.cond.",
    "parallel": "A CORE_PARALLEL axis has one step for each core of the device: use PARALLEL, which the compiler "
    "divides itself, or make the axis as long as there are cores.",
    "layout": "The vector layout needed here cannot be made: avoid reshapes that move the last two dimensions.",
    "crash": "The compiler process died: simplify the kernel; the same source will crash it again.",
    "timeout": "Compiling took too long: the unrolled body is probably too large; use smaller blocks or a loop.",
    "compile_error": "Read the line; it belongs to none of the known classes.",
}
KINDS = tuple(_HINTS)

# The first rule that matches `type: message` wins, so the specific ones stand first.
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for kind, pattern in (
        ("hbm_oom", r"\bE1000\b|CompileTimeHbmOom|ran out of memory (on|in memory space) hbm|space=hbm"),
        ("smem_oom", r"(ran out of memory|would exceed memory|exhausted).{0,600}\bsmem\b|\bsmem\b.{0,200}exceed"),
        ("smem_oom", r"would exceed memory.{0,600}space=sflag"),
        ("vmem_oom", r"\bE1001\b|ScopedVmemOom|(ran out of memory|would exceed memory).{0,600}\bvmem\b"),
        ("parallel", r"core-parallel dimension"),
        ("vmem_oom", r"RESOURCE_EXHAUSTED.{0,2000}(input window|output window|scratch operand|scoped)"),
        (
            "block_shape",
            r"last two dimensions of your block shape|must have the same number of dimensions as the arr",
        ),
        ("block_shape", r"block.?shape.{0,200}(divisible|multiple of|must)"),
        ("block_shape", r"index map function .{0,400}(must return|missing \d+ required)"),
        (
            "traced_value",
            r"ConcretizationTypeError|Tracer\w*ConversionError|(boolean conversion|concrete value) of? ?.{0,20}traced",
        ),
        ("import", r"^(ModuleNotFoundError|ImportError): "),
        ("captured", r"captures constants"),
        (
            "arguments",
            r"^TypeError: .{0,200}(takes \d+ positional argument|missing \d+ required (positional|keyword))",
        ),
        ("arguments", r"^TypeError: .{0,200}unexpected keyword argument"),
        ("shape", r"invalid shape for `swap`|contracting dimensions|incompatible shapes|cannot be broadcast"),
        ("bounds", r"out of bound|out-of-bound|index \S+ is out of range"),
        (
            "dtype",
            r"VectorElementTypeInterface|not a valid dtype|invalid vector type|d?type mismatch|invalid dtype",
        ),
        ("dtype", r"unsupported (element |data )?type|bad (lhs|rhs|acc)\w* type"),
        ("dtype", r"(lhs|rhs|operand|accumulator|acc)\w* (element )?type.{0,80}(not supported|unsupported|must)"),
        ("alignment", r"\bE2003\b|UnprovenMemoryAccessAlignment|cannot statically prove|not a multiple of"),
        ("alignment", r"\b(mis|un)aligned\b|\bnot aligned\b|must be aligned"),
        ("layout", r"shape cast|relayout|vector-layout|(unsupported|invalid|incompatible).{0,40}layout"),
        ("unsupported", r"^NotImplementedError|unimplemented|not implemented|cannot store scalars to vmem"),
        (
            "unsupported",
            r"only .{0,60}(supported|implemented)|failed to legalize|(is|are) not supported|unsupported op",
        ),
    )
)

_NOISE = re.compile(
    r"\s*$|[-=*^~ ]+$|For simplicity, JAX has removed|Traceback |The MLIR operation|See https?://|Please report"
)
_MOSAIC = re.compile(
    r"^(?:INTERNAL: )?Mosaic failed to compile TPU kernel with MLIR module name \S.*? HLO name `[^`]*`: "
)
_SCOPED = re.compile(r"Scoped allocation with size \S+ and limit \S+ exceeded[^\n]*? by [\d.]+\w")
_BUFFERS = re.compile(r"^Buffers: (.+)$", re.MULTILINE)  # `worker.vmem_account`
_FRAME = re.compile(r'^ *File "(?P<file>[^"\n]+)", line (?P<line>\d+), in .*\n(?P<code> +\S.*)$', re.MULTILINE)
_ALLOCATION = re.compile(
    r"Allocation \(size=(?P<size>\d+)\) would exceed memory \(size=(?P<most>\d+)\).{0,200}?shape = '(?P<shape>[^']*)', "
    r"space=(?P<space>\w+).{0,200}?tag = '(?P<tag>[^'\n]*)",
    re.DOTALL,
)
_FATAL = re.compile(
    r"Check failed|Fatal Python error|LLVM ERROR|terminate called|\bKilled\b|"
    r"\bSIG(?:SEGV|ABRT|BUS|FPE|ILL|KILL|SYS|TERM|TRAP)\b"
)
_FATAL_LOG = re.compile(
    r"\bF\d{4} [\d:.]+ +\d+ (\S+:\d+\] .+)"
)  # the log's own form: severity, date, time, thread
_SIGNAL = re.compile(r"\*\*\* (SIG[A-Z]{3,})")
_INSIDE = re.compile(r"^PC: .*[ )](\w+(?:::[\w~<>]+)+\(\))$", re.MULTILINE)
_LOCATION = re.compile(r"""(?P<file>[^\s"'()<>:,]{1,256}\.py)["']?(?::|,\s*line\s+)(?P<line>\d+)""")
# where the traced function begins, which is not the line to blame
_TRACED = re.compile(r"while tracing the function [^\n]{1,400}? at \S+")
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
    message, traceback = message[:_MAX_READ_CHARS], traceback[-_MAX_READ_CHARS:]
    kind = error_type if error_type in ("crash", "timeout") else _kind(error_type, message)
    return Failure(
        kind=kind,
        line=_informative(message) if message.strip() else _wordless(error_type, traceback),
        source=_source(message, traceback),
        hint=_HINTS[kind],
        detail=message[:_MAX_DETAIL_CHARS],
    )


def last_words(log: str) -> str:
    """The part of a dead process's log that says why, bounded: what it gave up with, or the signal and where."""
    given_up, signal = _FATAL_LOG.search(log), _SIGNAL.search(log)
    if given_up:
        return f"{given_up[1]}\n{log[given_up.end() :]}"[:_MAX_DETAIL_CHARS]
    if signal:
        inside = _INSIDE.search(log, signal.end())
        return f"{signal[1]}{f' in {inside[1]}' if inside else ''}\n{log[signal.start() :]}"[:_MAX_DETAIL_CHARS]
    lines = log.splitlines()
    telling = [index for index, line in enumerate(lines) if _FATAL.search(line)]
    chosen = lines[telling[0] :] if telling else lines[-20:]
    return "\n".join(chosen)[:_MAX_DETAIL_CHARS] or "the compiler process ended without a word"


def _kind(error_type: str, message: str) -> str:
    text = f"{error_type}: {message}"
    for kind, pattern in _RULES:
        if pattern.search(text):
            return kind
    return "compile_error"


def _informative(message: str) -> str:
    """The first line that says something, without the wrapping that every message of its kind has."""
    scoped, buffers = _SCOPED.search(message), _BUFFERS.search(message)
    if scoped or buffers:
        words = scoped[0] if scoped else message.splitlines()[0]
        return (f"{words}: {buffers[1]}" if buffers else words)[:_MAX_LINE_CHARS]
    buffer = _ALLOCATION.search(message)
    if buffer:
        return _buffer_line(buffer)[:_MAX_LINE_CHARS]
    lines = [line.strip() for line in message.splitlines() if not _NOISE.match(line)]
    if not lines:
        return message.strip()[:_MAX_LINE_CHARS]
    line = _MOSAIC.sub("", lines[0])
    if line.endswith(":") and len(lines) > 1:
        line = f"{line} {lines[1]}"
    return line[:_MAX_LINE_CHARS]


def _wordless(error_type: str, traceback: str) -> str:
    """What a bare `assert` checks, from the innermost frame of the traceback."""
    frames = [match for match in _FRAME.finditer(traceback) if "cairn/worker/" not in match["file"]]
    if not frames:
        return f"{error_type} without a message"
    last = frames[-1]
    place = f"{last['file'].rpartition('/')[2]}:{last['line']}"
    return f"{error_type} at {place}: {last['code'].strip()}"[:_MAX_LINE_CHARS]


def _buffer_line(match: re.Match[str]) -> str:
    """Which buffer does not fit, in words: its place, its window when the compiler tells, its size."""
    tag = match["tag"].split(". The u8 shape")[0]
    size, most = int(match["size"]) / 2**20, int(match["most"]) / 2**20
    return f"{match['space']}: {size:,.1f} MiB of {most:,.1f} MiB for {tag} ({match['shape']})"


def _source(message: str, traceback: str) -> str | None:
    """The place in code that belongs to nobody's library: the message's own first, else the innermost frame."""
    for text, which in ((_TRACED.sub("", message), 0), (_TRACED.sub("", traceback), -1), (message, 0)):
        own = [match for match in _LOCATION.finditer(text) if not _LIBRARY.search(match["file"])]
        if own:
            return f"{own[which]['file']}:{own[which]['line']}"
    return None
