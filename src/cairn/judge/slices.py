"""Axes that a problem treats independently, so that a large shape can be looked at in part.

Sequences of a batch, heads, rows of a matrix: cutting an axis out of the inputs cuts the same part out of the
outputs. Nobody declares that. The reference is asked: on fresh inputs of every family, what it answers to some of an
axis' places, and to all the others, has to be what it answers to the whole, at these places. Both halves are asked,
so that a maximum or a sum over the axis, which one of them may share with the whole, is seen in the other; halves of
neighbours, and halves at random, so that groups along the axis are seen too. Small sizes are doubled for that, since
an axis may seem independent only because another one has a single place.

What was found at a small shape is a hint. It never accuses anybody: a part that differs is followed by the whole.
Only the trusted reference and baseline are run on a part. The variant's program runs at the shape that was priced.
"""

import json
import math
import random
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cairn import __version__
from cairn.errors import BadInput
from cairn.judge.correctness import Array, Wire
from cairn.judge.lowered import digest_of
from cairn.judge.protocol import Oracle, Specs
from cairn.judge.replay import Spread
from cairn.lab.cache import Cache
from cairn.problem import Problem, Shape

Indices = NDArray[np.intp]
# the reference computes in float64; a sum over fewer rows may be carried out in another order
_SAME = 1e-9
_SMALL = 16
_VERSION = 2


@dataclass(frozen=True)
class Axis:
    """Where a size of the shape stands: its dimension in every input (None: not there) and in every output."""

    key: str
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """Some places of independent axes: a smaller shape, and how to cut it out of what belongs to the whole one."""

    shape: Shape
    cuts: tuple[tuple[Axis, Indices], ...]

    def share_of(self, whole: Shape) -> float:
        """How much of the whole shape it is."""
        return math.prod(self.shape[key] / size for key, size in whole.items())

    def spread(self, inputs: int, outputs: int) -> Spread:
        """Where the part belongs in the whole, for so many inputs and outputs."""
        cut = [(axis, [int(place) for place in chosen]) for axis, chosen in self.cuts]
        return Spread(
            [[(at, c) for axis, c in cut if (at := axis.inputs[i]) is not None] for i in range(inputs)],
            [[(axis.outputs[i], c) for axis, c in cut] for i in range(outputs)],
        )

    def inputs(self, specs: Specs, blobs: Sequence[bytes]) -> tuple[Specs, list[bytes]]:
        """The part of the inputs."""
        made, cut = [], []
        for index, (spec, blob) in enumerate(zip(specs, blobs, strict=True)):
            array = _raw(spec["shape"], blob)
            for axis, chosen in self.cuts:
                place = axis.inputs[index]
                array = array if place is None else array.take(chosen, place)
            made.append({**spec, "shape": list(array.shape)})
            cut.append(array.tobytes())
        return made, cut

    def output(self, index: int, wire: Wire) -> Wire:
        """The part of an output."""
        array = self.of(index, _raw(wire.shape, wire.data))
        return Wire(wire.dtype, array.shape, array.tobytes())

    def of(self, index: int, array: NDArray[Any]) -> NDArray[Any]:
        """The part of an array that has the form of an output."""
        for axis, chosen in self.cuts:
            array = array.take(chosen, axis.outputs[index])
        return array


def part_at(axes: Sequence[Axis], shape: Shape, held: Sequence[Sequence[int] | None]) -> Part:
    """The part of a shape at these places of its axes; None, or all of them, leaves an axis whole."""
    small, cuts = dict(shape), []
    for axis, places in zip(axes, held, strict=True):
        if places is not None and 0 < len(places) < shape[axis.key]:
            small[axis.key] = len(places)
            cuts.append((axis, np.array(places, np.intp)))
    return Part(small, tuple(cuts))


def part_of(axes: Sequence[Axis], shape: Shape, covered: Sequence[NDArray[np.bool_]]) -> Part:
    """The smallest part of a shape that holds all elements that are covered."""
    held: list[Sequence[int] | None] = []
    for axis in axes:
        pairs = list(zip(covered, axis.outputs, strict=True))
        fits = all(mask.ndim > place and mask.shape[place] == shape[axis.key] for mask, place in pairs)
        along = [_along(mask, place) for mask, place in pairs] if fits else []
        held.append(np.flatnonzero(np.logical_or.reduce(along)).tolist() if fits else None)
    return part_at(axes, shape, held)


def independent_axes(oracle: Oracle, problem: Problem, cache: Cache | None) -> list[Axis]:
    """The axes that a problem treats independently, as far as its first check shape can tell.

    What was found is remembered by the problem's frozen files.
    """
    key = digest_of(["independent axes", _VERSION, __version__, problem.frozen_hash()])
    known = None if cache is None else cache.get(key)
    if known is not None:
        return [Axis(a["key"], tuple(a["inputs"]), tuple(a["outputs"])) for a in json.loads(known)]
    shape = {name: size if size > _SMALL else 2 * size for name, size in problem.shapes.check[0].items()}
    found = [axis for name in shape if (axis := _independent(oracle, problem.families, shape, name))]
    if cache is not None:
        cache.put(key, json.dumps([asdict(axis) for axis in found]).encode())
    return found


def _independent(oracle: Oracle, families: Sequence[str], shape: Shape, name: str) -> Axis | None:
    """Whether the reference says that an axis is independent; what it refuses to answer is a no."""
    size = shape[name]
    whole, half = dict(shape), {**shape, name: size // 2}
    try:
        forms = [spec["shape"] for spec in oracle.specs(whole)]
        places = _moved(forms, [spec["shape"] for spec in oracle.specs(half)])
        if places is None or all(place is None for place in places):
            return None
        if any(place is not None and form[place] != size for form, place in zip(forms, places, strict=True)):
            return None
        axis = None
        for family in families:
            axis = _holds(oracle, whole, family, name, places)
            if axis is None:
                return None
        return axis
    except BadInput:
        return None


def _holds(oracle: Oracle, shape: Shape, family: str, name: str, places: tuple[int | None, ...]) -> Axis | None:
    """The axis, if halves of one draw have the halves of its truth."""
    size = shape[name]
    draw = oracle.draw(secrets.randbits(31), shape, family)
    first, chosen = set(range(size // 2)), set(random.Random(secrets.randbits(64)).sample(range(size), size // 2))
    found: Axis | None = None
    for half in (first, set(range(size)) - first, chosen, set(range(size)) - chosen):
        indices = np.array(sorted(half), np.intp)
        part = Part(shape, ((Axis(name, places, ()), indices),))
        truth = oracle.truth(*part.inputs(draw.specs, draw.blobs))
        outputs = _moved([list(t.shape) for t in draw.truth], [list(t.shape) for t in truth])
        if outputs is None:
            return None
        dimensions = tuple(place for place in outputs if place is not None)
        if len(dimensions) != len(outputs):
            return None
        pairs = list(zip(draw.truth, truth, dimensions, strict=True))
        if any(before.shape[place] != size for before, _, place in pairs):
            return None
        if not all(_equal(before.take(indices, place), after) for before, after, place in pairs):
            return None
        found = Axis(name, places, dimensions)
    return found


def _moved(whole: Sequence[list[int]], part: Sequence[list[int]]) -> tuple[int | None, ...] | None:
    """For each array the one dimension in which two forms of it differ; None if that is more than one."""
    places: list[int | None] = []
    for before, after in zip(whole, part, strict=True):
        if len(before) != len(after):
            return None
        differ = [at for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        if len(differ) > 1:
            return None
        places.append(differ[0] if differ else None)
    return tuple(places)


def _equal(expected: Array, got: Array) -> bool:
    largest = float(np.max(np.abs(expected), initial=0.0))
    return expected.shape == got.shape and bool(np.all(np.abs(expected - got) <= _SAME * largest))


def _raw(shape: Sequence[int], blob: bytes) -> NDArray[Any]:
    """Bytes as elements that are moved and never looked at."""
    size = len(blob) // max(1, math.prod(shape))
    return np.frombuffer(blob, f"V{max(size, 1)}").reshape(tuple(shape))


def _along(mask: NDArray[np.bool_], place: int) -> NDArray[np.bool_]:
    others = tuple(axis for axis in range(mask.ndim) if axis != place)
    return np.asarray(mask.any(axis=others))
