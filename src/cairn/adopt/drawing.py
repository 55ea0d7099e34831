"""The drawing of inputs that was cut out of a user's file: seeded by the judge, and tried once to see its sizes."""

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cairn.adopt.source import extract
from cairn.errors import BadInput
from cairn.problem import Shape
from cairn.worker.scratch import scratch
from cairn.worker_process import WorkerFailure, WorkerProcess

_ASK_S = 120.0
_CAPS = (256, 512, 1024, 2048, 4096)
_SEEDED = """

# the judge's seed, set before every drawing
SEED = 0


def _seeded_key(number=0):
    return jax.random.fold_in(jax.random.PRNGKey(number), SEED)


def _seeded_rng(number=0):
    return np.random.default_rng((number or 0, SEED))
"""
_REPLACED = {"PRNGKey": "_seeded_key", "key": "_seeded_key", "default_rng": "_seeded_rng"}


def drawing_text(text: str) -> str:
    """A module with `draw` and what it needs, cut from `text`; its fixed keys become keys of the judge's seed."""
    with scratch("drawing") as folder:
        whole = folder / "whole.py"
        whole.write_text(text, encoding="utf-8")
        found = extract(whole, "draw")
    imports = [line for line in found.imports.splitlines() if line not in ("import jax", "import numpy as np")]
    title = '"""How the template draws its inputs; only the seed is the judge\'s."""'
    head = "\n".join([title, "", "import jax", "import numpy as np", *imports])
    return head + _SEEDED + "\n\n" + _with_seeds(found.body)


def _with_seeds(text: str) -> str:
    """Every call that makes a key or generator from a fixed number, calling ours instead."""
    lines = text.splitlines()
    calls = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    names = [func for func in calls if _makes_key(func)]
    for func in sorted(names, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        raw = lines[func.lineno - 1].encode()  # ast counts columns in bytes
        ours = _REPLACED[_last(func)].encode()
        lines[func.lineno - 1] = (raw[: func.col_offset] + ours + raw[func.end_col_offset :]).decode()
    return "\n".join(lines) + "\n"


def _makes_key(func: ast.expr) -> bool:
    if func.end_lineno != func.lineno or _last(func) not in _REPLACED:
        return False
    return _last(func) != "key" or (isinstance(func, ast.Attribute) and ast.unparse(func.value).endswith("random"))


def _last(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""


class Drawing:
    """A reference's `input_specs`, asked in the oracle's process."""

    def __init__(self, python: Path, reference: Path, shown: Path) -> None:
        """`shown` is the file that a failure is told about: the user's, not the one in a temporary folder."""
        self._worker = WorkerProcess(python, "oracle")
        self._shown = shown
        try:
            self._worker.ask({"op": "load", "path": str(reference)}, timeout_s=_ASK_S)
        except WorkerFailure as failure:
            self.close()
            raise BadInput(f"the drawing cannot be loaded: {failure.detail[:500]}", path=shown) from failure

    def specs(self, shape: Shape) -> list[dict[str, Any]]:
        """Shapes and types of the inputs.

        Raises:
            WorkerFailure: the drawing refuses this shape.
        """
        reply, _ = self._worker.ask({"op": "specs", "shape": shape}, timeout_s=_ASK_S)
        return list(reply["inputs"])

    def where_sizes_show(self, shape: Shape) -> dict[str, tuple[int, int]]:
        """(input, axis) on which a size shows: the axis has its value, and doubles when it is doubled."""
        try:
            base = self.specs(shape)
        except WorkerFailure as failure:
            message = f"inputs cannot be drawn at {shape}: {failure.detail[:500]}"
            raise BadInput(message, path=self._shown) from failure
        found: dict[str, tuple[int, int]] = {}
        for size, value in shape.items():
            with suppress(WorkerFailure):  # a drawing that asserts its one size shows nothing
                doubled = self.specs({**shape, size: 2 * value})
                places = _places(base, doubled, value)
                if places:
                    found[size] = places[0]
        return found

    def checked(self, shapes: Sequence[Shape], fixed: Mapping[str, int]) -> list[Shape]:
        """Shapes to check on: every size capped as low as the drawing allows; fixed sizes stay."""
        for cap in _CAPS:
            small = [{k: v if k in fixed else min(v, cap) for k, v in shape.items()} for shape in shapes]
            with suppress(WorkerFailure):
                for shape in small:
                    self.specs(shape)
                return [shape for index, shape in enumerate(small) if shape not in small[:index]]
        return [dict(shapes[0])]

    def close(self) -> None:
        """End the process."""
        self._worker.close()


def _places(
    base: Sequence[Mapping[str, Any]], doubled: Sequence[Mapping[str, Any]], value: int
) -> list[tuple[int, int]]:
    return [
        (index, axis)
        for index, (one, two) in enumerate(zip(base, doubled, strict=False))
        for axis, (before, after) in enumerate(zip(one["shape"], two["shape"], strict=False))
        if before == value and after == 2 * value
    ]
