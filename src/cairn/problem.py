"""A problem: what a kernel must compute, on which shapes, how exactly, and what may be tuned.

`problem.yaml` and `reference.py` are frozen while a climb runs; this module reads the first and hashes both.
The reference itself is executed by the oracle process, never here.
"""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import msgspec
from simpleeval import InvalidExpression, simple_eval

from cairn.errors import BadInput, Missing, UsageError
from cairn.settings import Source, did_you_mean

Shape = dict[str, int]
# rms(error) / rms(truth) below which nobody is asked to go: one unit in the last place of the output's type
_DEFAULT_FLOOR = {"bfloat16": 4.0e-3, "float16": 5.0e-4, "float32": 1.0e-5}
OUTPUT_TYPES = ("bfloat16", "float16", "float32", "int8", "int16", "int32", "uint8", "uint16", "uint32", "bool")
# what may enter a product of matrices; float32_3x are three bfloat16 passes, jax's HIGH
DOT_TYPES = (
    *("float64", "float32", "float32_3x", "tensorfloat32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"),
    *("int32", "int16", "int8", "int4", "uint32", "uint16", "uint8", "uint4"),
)
_IGNORED_PARTS = {"__pycache__", ".ipynb_checkpoints"}


class Tolerance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A variant may be `multiple` times as wrong as the baseline, but never has to be better than `floor`."""

    multiple: float = 4.0
    floor: dict[str, float] = {}

    def floor_of(self, dtype: str) -> float:
        return self.floor.get(dtype, _DEFAULT_FLOOR.get(dtype, 0.0))


class Shapes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`check` is replayed with every input family, `bench` compiled and priced, `heldout` not shown to the agent."""

    check: list[Shape]
    bench: list[Shape]
    heldout: list[Shape] = []


class Tunables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Choices per field of a variant's `Config`; constraints over tunables and the names of a shape."""

    space: dict[str, list[int | float | str | bool]]
    constraints: list[str] = []


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    baseline: str
    outputs: dict[str, str]
    shapes: Shapes
    schema: int = 1
    title: str = ""
    reference: str = "reference.py"
    start: str | None = None
    editable: tuple[str, ...] = ("variants/*.py",)
    families: tuple[str, ...] = ("normal",)
    precision: str = ""
    dots: tuple[str, ...] = ()
    kernel_calls: int = 0
    tolerance: Tolerance = Tolerance()
    tunables: dict[str, Tunables] = {}
    targets: list[str] = []


@dataclass(frozen=True)
class Problem:
    """One checked `problem.yaml`; `folder` is where it stands, `dots` what may enter a product (empty: anything).

    `kernel_calls`: on so many kernel calls at least an output has to depend, on chips (0: XLA's own code will do).
    """

    folder: Path
    name: str
    title: str
    reference: Path
    baseline: str
    start: str | None
    editable: tuple[str, ...]
    outputs: Mapping[str, str]
    shapes: Shapes
    families: tuple[str, ...]
    precision: str
    dots: tuple[str, ...]
    kernel_calls: int
    tolerance: Tolerance
    tunables: Mapping[str, Tunables]
    targets: tuple[str, ...]

    def variants(self) -> list[str]:
        """Names of the variants on disk, sorted."""
        return sorted(path.stem for path in (self.folder / "variants").glob("*.py") if path.stem[0] != "_")

    def variant(self, name: str) -> Path:
        """The file of a variant, by its name or by a path to a Python file.

        Raises:
            UsageError: there is no such variant.
        """
        by_name = self.folder / "variants" / f"{name}.py"
        with contextlib.suppress(OSError):  # a name may be longer than the system allows
            if by_name.is_file() and "/" not in name:
                return by_name
            if name.endswith(".py") and Path(name).is_file():
                return Path(name).resolve()
        hint = did_you_mean(name, self.variants()) or "put a Python file into its `variants` folder"
        raise UsageError(f"problem `{self.name}` has no variant `{name}`", hint=hint)

    def is_editable(self, relative: str) -> bool:
        """Whether a climb may change this file; the path is relative to the problem's folder.

        The baseline never may: it sets the tolerance and is what every claim is compared with.
        """
        if ".." in Path(relative).parts or relative == f"variants/{self.baseline}.py":
            return False
        return any(fnmatch(relative, pattern) for pattern in self.editable)

    def frozen_files(self) -> list[Path]:
        """Every file of the folder that a climb may not change, sorted."""
        return [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
            and not _IGNORED_PARTS.intersection(path.parts)
            and not self.is_editable(path.relative_to(self.folder).as_posix())
        ]

    def frozen_hash(self) -> str:
        """One hash over names and contents of the frozen files."""
        digest = hashlib.sha256()
        for path in self.frozen_files():
            digest.update(path.relative_to(self.folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def load_problem(path: Path) -> Problem:
    """Read a problem from its folder or from its `problem.yaml`.

    Raises:
        Missing: there is no such folder or file.
        BadInput: the file does not fit; names line, key and fix.
    """
    folder = path.parent if path.name == "problem.yaml" else path
    if not folder.is_dir():
        raise Missing(f"no problem at {path}", hint="name a folder that holds a problem.yaml, e.g. kernels/gdn")
    hint = "a problem is a folder with problem.yaml and reference.py; see kernels/README.md"
    source = Source(folder / "problem.yaml", missing_hint=hint)
    keys = source.to(_Keys)
    _check(source, keys, folder)
    return Problem(
        folder=folder.resolve(),
        name=keys.name,
        title=keys.title or keys.name,
        reference=(folder / keys.reference).resolve(),
        baseline=keys.baseline,
        start=keys.start,
        editable=keys.editable,
        outputs=keys.outputs,
        shapes=keys.shapes,
        families=keys.families,
        precision=keys.precision,
        dots=keys.dots,
        kernel_calls=keys.kernel_calls,
        tolerance=keys.tolerance,
        tunables=keys.tunables,
        targets=tuple(keys.targets),
    )


def _check(source: Source, keys: _Keys, folder: Path) -> None:
    if keys.schema != 1:
        raise source.error(f"schema {keys.schema} is not known", "schema", hint="this version reads schema 1")
    if keys.name != folder.resolve().name:
        hint = f"write `name: {folder.resolve().name}`, or rename the folder"
        raise source.error(f"`{keys.name}` stands in a folder called `{folder.resolve().name}`", "name", hint=hint)
    reference = (folder / keys.reference).resolve()
    if not reference.is_relative_to(folder.resolve()):
        raise source.error(f"`{keys.reference}` leaves the problem's folder", "reference")
    if not reference.is_file():
        raise source.error(
            f"`{keys.reference}` does not exist", "reference", hint="write it: see kernels/README.md"
        )
    _check_variants(source, keys, folder)
    _check_lists(source, keys)
    _check_shapes(source, keys)
    _check_tunables(source, keys, folder)


def _check_variants(source: Source, keys: _Keys, folder: Path) -> None:
    for key, name in (("baseline", keys.baseline), ("start", keys.start)):
        if name is not None and not (folder / "variants" / f"{name}.py").is_file():
            raise source.error(f"there is no variants/{name}.py", key, hint="name a variant that exists")
    if keys.start == keys.baseline:
        raise source.error("the baseline is frozen, so a climb cannot start there", "start", hint="copy it first")


def _check_lists(source: Source, keys: _Keys) -> None:
    for name, dtype in keys.outputs.items():
        if dtype not in OUTPUT_TYPES:
            raise source.error(f"`{dtype}` cannot be compared", "outputs", name, hint=", ".join(OUTPUT_TYPES))
    for dtype in keys.dots:
        if dtype not in DOT_TYPES:
            raise source.error(f"`{dtype}` is no type of a product", "dots", hint=", ".join(DOT_TYPES))
    if keys.kernel_calls < 0:
        raise source.error("must not be negative", "kernel_calls")
    for key, values in (("outputs", keys.outputs), ("families", keys.families), ("editable", keys.editable)):
        if not values:
            raise source.error("must not be empty", key)
    for pattern in keys.editable:
        if pattern.startswith("/") or ".." in Path(pattern).parts:
            raise source.error(f"`{pattern}` leaves the problem's folder", "editable")


def _check_shapes(source: Source, keys: _Keys) -> None:
    for kind in ("check", "bench", "heldout"):
        shapes = getattr(keys.shapes, kind)
        if not shapes and kind != "heldout":
            raise source.error("needs at least one shape", "shapes", kind)
        for index, shape in enumerate(shapes):
            bad = next((name for name, size in shape.items() if size < 0), None)
            if bad is not None:
                raise source.error("sizes are not negative", "shapes", kind, index, bad)


def _check_tunables(source: Source, keys: _Keys, folder: Path) -> None:
    for variant, tunables in keys.tunables.items():
        if not (folder / "variants" / f"{variant}.py").is_file():
            raise source.error(f"there is no variants/{variant}.py", "tunables", variant)
        for name, choices in tunables.space.items():
            if not choices:
                raise source.error("needs at least one choice", "tunables", variant, "space", name)
        first = {name: choices[0] for name, choices in tunables.space.items()}
        for index, constraint in enumerate(tunables.constraints):
            try:
                holds([constraint], {**keys.shapes.bench[0], **first})
            except BadInput as error:
                raise source.error(error.message, "tunables", variant, "constraints", index) from error


def holds(constraints: Sequence[str], names: Mapping[str, object]) -> bool:
    """Whether every constraint is true for these values.

    Raises:
        BadInput: a constraint is not an expression over the given names.
    """
    for constraint in constraints:
        try:
            if not simple_eval(constraint, names=dict(names)):
                return False
        except (InvalidExpression, SyntaxError, TypeError, ZeroDivisionError) as error:
            message = f"`{constraint}` cannot be evaluated: {error}"
            raise BadInput(message, hint=f"names that may be used: {', '.join(sorted(names))}") from error
    return True
