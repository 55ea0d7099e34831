"""What a user says about a kernel's arrays and sizes on the command line, and how it looks in a problem's files.

x:bfloat16[B,T,128]      an array: name, type, axes; an axis is a number or the name of a size
B=8,T=4096               a shape: a value for every size
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cairn.errors import UsageError
from cairn.problem import OUTPUT_TYPES, Shape

_ARRAY = re.compile(r"(?P<name>[A-Za-z_]\w*):(?P<dtype>\w+)\[(?P<axes>[\w, ]*)\]")
_SIZE = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>\d+)")
_SHORT = {"bf16": "bfloat16", "f16": "float16", "f32": "float32", "i32": "int32", "i8": "int8"}
_SMALL = 256  # check shapes are replayed operation by operation


@dataclass(frozen=True)
class Array:
    """One input or output: its type and axes, each a number or the name of a size."""

    name: str
    dtype: str
    axes: tuple[int | str, ...]

    def sizes(self, shape: Mapping[str, int]) -> list[int]:
        """The axes as numbers."""
        return [shape[axis] if isinstance(axis, str) else axis for axis in self.axes]

    def written(self) -> str:
        """As a line of `INPUTS` or `OUTPUTS` in reference.py."""
        axes = ", ".join(f'"{axis}"' if isinstance(axis, str) else str(axis) for axis in self.axes)
        return f'    "{self.name}": ("{self.dtype}", ({axes}{"," if len(self.axes) == 1 else ""})),'


def array_of(text: str) -> Array:
    """Read `name:type[axis,...]`.

    Raises:
        UsageError: it does not look like that, or the type is unknown.
    """
    found = _ARRAY.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"`{text}` is not NAME:TYPE[AXES]", hint="for example: --input 'x:bfloat16[B,T,128]'")
    dtype = _SHORT.get(found["dtype"], found["dtype"])
    if dtype not in OUTPUT_TYPES:
        raise UsageError(f"`{text}`: unknown type `{dtype}`", hint=f"one of {', '.join(OUTPUT_TYPES)}")
    axes = [axis.strip() for axis in found["axes"].split(",") if axis.strip()]
    return Array(found["name"], dtype, tuple(int(axis) if axis.isdigit() else axis for axis in axes))


def shape_of(text: str) -> Shape:
    """Read `B=8,T=4096`.

    Raises:
        UsageError: a part is not NAME=NUMBER.
    """
    shape: Shape = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = _SIZE.fullmatch(part)
        if found is None:
            raise UsageError(f"`{part}` is not NAME=NUMBER", hint="for example: --shape B=8,T=4096")
        shape[found["name"]] = int(found["value"])
    return shape


def check_sizes(arrays: Sequence[Array], shapes: Sequence[Shape]) -> None:
    """Every named axis needs a value in every shape.

    Raises:
        UsageError: one has none.
    """
    for array in arrays:
        for shape in shapes:
            for axis in array.axes:
                if isinstance(axis, str) and axis not in shape:
                    text = ",".join(f"{name}={size}" for name, size in shape.items())
                    raise UsageError(
                        f"`{array.name}` has an axis {axis}, the shape {text} does not", hint=f"{axis}=..."
                    )


def small(shape: Shape) -> Shape:
    """A shape to check on: no size above 256."""
    return {name: min(size, _SMALL) for name, size in shape.items()}


def axes_of(sizes: Sequence[Sequence[int]], shapes: Sequence[Shape]) -> tuple[int | str, ...]:
    """Axes that give these sizes at these shapes, name by name where one fits all of them.

    `sizes[i]` are the sizes seen at `shapes[i]`.
    """
    axes: list[int | str] = []
    for column in zip(*sizes, strict=True):
        fits = (name for name in shapes[0] if all(s[name] == n for s, n in zip(shapes, column, strict=True)))
        axes.append(next(fits, column[0]))
    return tuple(axes)


def told_apart(shapes: Sequence[Shape]) -> list[Shape]:
    """More shapes, at which sizes differ that are alike in all of these: so an axis can be called by its own name."""
    smallest = min(shapes, key=lambda shape: math.prod(shape.values()))
    columns = {name: tuple(shape[name] for shape in shapes) for name in smallest}
    first = {column: name for name, column in reversed(columns.items())}
    twins = (name for name, column in columns.items() if first[column] != name)
    return [{**smallest, name: 2 * smallest[name]} for name in twins]
