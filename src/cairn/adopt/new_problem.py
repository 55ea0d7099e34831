"""`cairn problem new`: the files of a problem from functions that the user has, and a list of what is left to write.

Nothing is invented: what cannot be known stands in the files as a line marked FINISH (nothing can be judged before)
or REVIEW (it can, but somebody should look), and `cairn problem check` lists both.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template

from cairn.adopt.source import Extract
from cairn.adopt.specification import Array, small
from cairn.adopt.variant import Call, call_of, variant_text
from cairn.errors import UsageError
from cairn.problem import Shape

MARK = re.compile(r"\b(FINISH|REVIEW): (.*?)\"*$")
NAME = re.compile(r"[a-z][a-z0-9_]*")
_NO_BASELINE = '''\
"""The plain version that a good engineer would write in jax.numpy: its own error sets the tolerance."""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class Config:
    """Nothing to choose."""


def run($inputs*, config: Config) -> tuple[jax.Array, ...]:
    """Every output, in the order of problem.yaml."""
    # FINISH: compute it in plain jax.numpy, without Pallas; a weak baseline flatters everything after it
    raise NotImplementedError("write the baseline")
'''
_NO_ORACLE = '''\
def reference($inputs) -> tuple[np.ndarray, ...]:
    """Every output in float64, by the most obvious algorithm."""
    # FINISH: convert the inputs with .astype(np.float64) and compute; a test against a wrong kernel must fail
    raise NotImplementedError("write the oracle")
'''
_ORACLE = '''\
def reference($inputs) -> tuple[np.ndarray, ...]:
    """Every output in float64: `$function` of plain.py on exact copies of the inputs.

    REVIEW: an oracle should be the most obvious algorithm, and no line of it may compute below float64.
    """
    outputs = plain.$function($passed)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return tuple(np.asarray(output).astype(np.float64) for output in outputs)


def _exact(array: np.ndarray) -> object:
    array = np.asarray(array)
    return jnp.asarray(array if array.dtype.kind in "iub" else array.astype(np.float64))
'''
_INTEGERS = """\
        # FINISH: which whole numbers may occur? an index must stay inside what it points into
        return rng.integers(0, 2, sizes).astype(dtype)"""
_NO_INTEGERS = """\
        raise TypeError(f"{dtype} inputs are not drawn here")"""


@dataclass(frozen=True)
class Wish:
    """What the user asked for.

    `fixed`: values for parameters that are no arrays. `oracle` is the baseline's function unless another was named.
    """

    name: str
    kernel: Extract
    baseline: Extract | None
    oracle: Extract | None
    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    bench: tuple[Shape, ...]
    check: tuple[Shape, ...]
    targets: tuple[str, ...]
    fixed: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Draft:
    """The files of a problem, by their names in its folder, and the variant that a climb starts from."""

    files: Mapping[str, str]
    start: str
    baseline: str


@dataclass(frozen=True)
class Mark:
    """One thing left to do: `FINISH` blocks judging, `REVIEW` does not."""

    kind: str
    path: str
    line: int
    text: str


def draft(wish: Wish, root: Path) -> Draft:
    """Write all files of the problem, in memory.

    Raises:
        UsageError: the name cannot be used, or a parameter of a function is left without a value.
    """
    if not NAME.fullmatch(wish.name):
        raise UsageError(
            f"`{wish.name}` cannot be a problem's name", hint="lower-case letters, digits, underscores"
        )
    _check_names(wish)
    call = _call(wish.kernel, wish)
    start = wish.kernel.function.lstrip("_").lower()
    baseline = "xla_baseline" if wish.baseline is None else wish.baseline.function.lstrip("_").lower()
    baseline = f"{baseline}_baseline" if baseline == start else baseline
    texts = {f"variants/{start}.py": _with_marks(wish.kernel, variant_text(wish.kernel, call, root))}
    texts[f"variants/{baseline}.py"] = _baseline(wish, call, root)
    if wish.oracle is not None:
        texts["plain.py"] = _with_marks(wish.oracle, wish.oracle.text)
    texts["reference.py"] = _reference(wish, call)
    texts["problem.yaml"] = _problem(wish, call, start, baseline)
    return Draft(texts, start, baseline)


def marks(texts: Mapping[str, str]) -> list[Mark]:
    """Everything that is left to do in these files, what blocks first."""
    found = [
        Mark(match[1], name, number, match[2])
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if (match := MARK.search(line))
    ]
    return sorted(found, key=lambda mark: mark.kind)


def _check_names(wish: Wish) -> None:
    """Inputs are parameters of the kernel; a fixed value belongs to a parameter of some function."""
    known = [each.name for each in wish.kernel.parameters]
    every = {
        each.name for found in (wish.kernel, wish.baseline, wish.oracle) if found for each in found.parameters
    }
    for name in [*(array.name for array in wish.inputs if array.name not in known), *(wish.fixed.keys() - every)]:
        hint = f"`{wish.kernel.function}` takes {', '.join(known) or 'nothing'}"
        raise UsageError(f"`{name}` is no parameter of `{wish.kernel.function}`", hint=hint)


def _call(extract: Extract, wish: Wish) -> Call:
    names = {parameter.name for parameter in extract.parameters}
    fixed = {name: value for name, value in wish.fixed.items() if name in names}
    own = [array.name for array in wish.inputs]
    return call_of(extract, own if set(own) <= names else [], fixed)


def _baseline(wish: Wish, call: Call, root: Path) -> str:
    if wish.baseline is None:
        return Template(_NO_BASELINE).substitute(inputs="".join(f"{each.name}, " for each in call.inputs))
    text = variant_text(wish.baseline, _call(wish.baseline, wish), root)
    return _with_marks(wish.baseline, text)


def _with_marks(extract: Extract, text: str) -> str:
    """The text, with a line for each import that the place where it will run does not have."""
    if not extract.foreign:
        return text
    lines = [f"# FINISH: copy here what is used of `{each}` in {extract.path.name}" for each in extract.foreign]
    title, _, rest = text.partition("\n")
    return "\n".join([title, *lines, rest])


def _reference(wish: Wish, call: Call) -> str:
    inputs = wish.inputs or tuple(Array(each.name, "float32", ("N",)) for each in call.inputs)
    unknown = "    # FINISH: type and axes of every input\n" if not wish.inputs else ""
    unsure = "" if wish.outputs else "    # FINISH: type and axes of every output, as in problem.yaml\n"
    imports = ["import ml_dtypes  # noqa: F401  (numpy learns bfloat16 from it)", "import numpy as np"]
    if wish.oracle is not None:
        ours = ["import jax", "import jax.numpy as jnp", *imports, "import plain"]
        imports = [*ours, "", 'jax.config.update("jax_enable_x64", True)']
    integers = any(array.dtype.startswith(("int", "uint", "bool")) for array in inputs)
    return filled(
        "reference.py.tmpl",
        name=wish.name,
        imports="\n".join(imports) + "\n",
        inputs=unknown + "\n".join(array.written() for array in inputs),
        outputs=unsure + "\n".join(array.written() for array in _outputs(wish)),
        integers=_INTEGERS if integers else _NO_INTEGERS,
        oracle=_oracle(wish, call),
    )


def _oracle(wish: Wish, call: Call) -> str:
    names = [each.name for each in call.inputs]
    if wish.oracle is None:
        return Template(_NO_ORACLE).substitute(inputs=", ".join(names))
    theirs = _call(wish.oracle, wish)
    fixed = [f"{name}={value!r}" for name, value in theirs.fields.items() if name in wish.fixed]
    passed = [f"_exact({name})" for name in names]
    return Template(_ORACLE).substitute(
        inputs=", ".join(names), function=wish.oracle.function, passed=", ".join([*passed, *fixed])
    )


def _outputs(wish: Wish) -> tuple[Array, ...]:
    return wish.outputs or (Array("out", "float32", ("N",)),)


def _problem(wish: Wish, call: Call, start: str, baseline: str) -> str:
    bench = wish.bench or ({"N": 4096},)
    check = wish.check or tuple(small(shape) for shape in bench)
    unknown = "" if wish.bench else "  # FINISH: the sizes that matter to you"
    outputs = ", ".join(f"{array.name}: {array.dtype}" for array in _outputs(wish))
    unsure = "" if wish.outputs else "  # FINISH: name and type of every output"
    return filled(
        "problem.yaml.tmpl",
        name=wish.name,
        title=f"{wish.kernel.function} of {wish.kernel.path.name}",
        start=start,
        baseline=baseline,
        outputs=outputs,
        unsure=unsure,
        check=shape_rows(check) + ("" if wish.check else "  # REVIEW: made by capping every size at 256"),
        bench=shape_rows(bench) + unknown,
        families="normal, positive",
        precision='"REVIEW: the contract in words: types in and out, and in which type sums are kept"',
        tunables=_tunables(start, call),
        targets=", ".join(wish.targets),
    )


def shape_rows(shapes: Sequence[Shape]) -> str:
    """Shapes as rows of problem.yaml."""
    rows = ("{" + ", ".join(f"{name}: {size}" for name, size in shape.items()) + "}" for shape in shapes)
    return "".join(f"\n    - {row}" for row in rows)


def _tunables(start: str, call: Call) -> str:
    numbers = {name: value for name, value in call.fields.items() if type(value) is int and value > 0}
    if not numbers:
        return "# tunables: none of the function's parameters is a number; name choices here once Config has some"
    rows = [f"#       {name}: [{max(value // 2, 1)}, {value}, {2 * value}]" for name, value in numbers.items()]
    lines = [
        "# REVIEW: choices for the tuner; each must compile and give the right answer at every shape",
        "# tunables:",
    ]
    return "\n".join([*lines, f"#   {start}:", "#     space:", *rows])


def filled(template: str, **values: str) -> str:
    """A template of this package with its places filled."""
    text = files("cairn.adopt").joinpath("templates", template).read_text(encoding="utf-8")
    return Template(text).substitute(values)
