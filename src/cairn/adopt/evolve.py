"""`cairn problem import pallas-evolve`: a problem from a configuration of that evaluator.

A configuration names a template (the kernel, between EVOLVE-BLOCK markers), a reference and shapes. Both files draw
their inputs from fixed keys inside the function that is timed, compare one array within an absolute tolerance, and
time the first shape only. Here the judge draws, every output is compared with float64, and all shapes are priced; what
of that cannot be derived from the files is marked FINISH.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cairn.adopt.entry_split import Offered, Split, parts_of
from cairn.adopt.evolve_files import Files, write_files
from cairn.adopt.new_problem import NAME, Draft
from cairn.errors import UsageError
from cairn.problem import Shape
from cairn.roofline import chips
from cairn.settings import Source

_ENTRIES = ("optimized_compute", "kernel_fn"), ("simple_compute", "reference_fn")
_MARKERS = {"start": "# EVOLVE-BLOCK-START", "end": "# EVOLVE-BLOCK-END"}
_DEFAULT_TARGET = "tpu-v5p"


class _Kernel(msgspec.Struct, frozen=True):
    name: str
    template: str
    reference: str
    evolve_markers: dict[str, str] = {}


class _Config(msgspec.Struct, frozen=True):
    """What is read of a configuration; the rest is about clusters, batches and sessions."""

    kernel: _Kernel
    shapes: list[dict[str, int]]
    correctness: dict[str, Any] = {}
    tpu: dict[str, Any] = {}


@dataclass(frozen=True)
class Imported:
    """A problem made from a configuration, and what the user should know about it."""

    name: str
    draft: Draft
    notes: tuple[str, ...]


def draft_of_config(path: Path, name: str | None, targets: Sequence[str], python: Path) -> Imported:
    """Read a configuration with its two files and write a problem, in memory.

    Args:
        targets: as named by the user; empty takes the chip that the configuration names.
        python: an interpreter with jax, in which the drawing is tried.

    Raises:
        BadInput: the configuration or a file does not fit; names the line.
        Missing: a file is not there.
    """
    source = Source(path, missing_hint="name the YAML file that pallas-evolve was started with")
    config = source.to(_Config)
    if not config.shapes:
        raise source.error("needs at least one shape", "shapes")
    called = name or re.sub(r"\W+", "_", config.kernel.name).strip("_").lower()
    if not NAME.fullmatch(called):
        raise UsageError(f"`{called}` cannot be a problem's name", hint="choose another with --name")
    files = [_file(source, key, getattr(config.kernel, key)) for key in ("template", "reference")]
    kernel, plain = (parts_of(file, entries) for file, entries in zip(files, _ENTRIES, strict=True))
    _check(source, kernel, plain, config.shapes)
    made = Files(called, path.name, kernel, plain, tuple(config.shapes), tuple(targets) or (_chip(config.tpu),))
    draft, trouble = write_files(made, python)
    notes = [*_notes(config, kernel), *([f"the try: {trouble}"] if trouble else [])]
    return Imported(called, draft, tuple(notes))


def _file(source: Source, key: str, value: str) -> Path:
    path = source.path.parent / value
    if not path.is_file():
        raise source.error(
            f"`{value}` does not exist", "kernel", key, hint="paths are relative to the configuration"
        )
    return path.resolve()


def _check(source: Source, kernel: Split | Offered, plain: Split | Offered, shapes: Sequence[Shape]) -> None:
    if len(kernel.inputs) != len(plain.inputs):
        message = f"it draws {_list(plain.inputs)}, the template {_list(kernel.inputs)}"
        raise source.error(message, "kernel", "reference", hint="let both draw the same inputs in the same order")
    for index, shape in enumerate(shapes):
        if missing := [size for size in kernel.sizes if size not in shape]:
            hint = f"`{kernel.function}` of the template takes {_list(kernel.sizes)}"
            raise source.error(f"{_list(missing)} not given", "shapes", index, hint=hint)


def _chip(tpu: dict[str, Any]) -> str:
    """The chip that a configuration's cluster or type is named after, else the default."""
    text = f"{tpu.get('tpu_type', '')} {tpu.get('cluster', '')}".replace("-", "").lower()
    named = [name for name, chip in chips().items() if chip.topology and name.replace("-", "") in text]
    return named[0] if named else _DEFAULT_TARGET


def _notes(config: _Config, kernel: Split | Offered) -> list[str]:
    """What is otherwise here than there."""
    tolerance = config.correctness.get("atol")
    notes = [
        f"atol {tolerance} is not taken over: an output may be 4 times as wrong as the baseline, against float64"
        if tolerance is not None
        else "an output may be 4 times as wrong as the baseline, against float64"
    ]
    text = "\n".join(kernel.module.lines)
    markers = {**_MARKERS, **config.kernel.evolve_markers}
    if missing := [marker for marker in markers.values() if marker not in text]:
        notes.append(f"the template has no {_list(missing)}: that evaluator would have refused it")
    notes.append("a climb may edit the whole variant, not only what stands between the EVOLVE-BLOCK markers")
    return notes


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"
