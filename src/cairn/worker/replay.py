"""Role `replay`: carries out the very program that is compiled and priced, in NumPy and XLA on the CPU.

It sees serialised programs (`jax.export`), never a variant's Python. A variant that computes one thing in the
interpreter and lowers another is caught because this process only has what was lowered. What it does not protect
against is written in docs/replay.md: the chip's own arithmetic, its timing, and faults of the compiler.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import arrays  # type: ignore[import-not-found]
import numpy as np
from mosaic_types import NotLocal  # type: ignore[import-not-found]
from stablehlo_part import PartProgram  # type: ignore[import-not-found]
from stablehlo_program import ReplayProgram  # type: ignore[import-not-found]

Reply = tuple[dict[str, Any], list[bytes]]
_KEPT_PROGRAMS = 32  # a problem's shapes, times a variant and the baseline, with room for the next variant
_programs: OrderedDict[str, ReplayProgram] = OrderedDict()
_part_programs: OrderedDict[str, PartProgram] = OrderedDict()


def handle(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Answer `run` or `run_part` (a program and its inputs); `load`, `cover`, `inspect` or `constants` (a program).

    Raises:
        Unreplayable: something in the program is not known here; nothing is guessed.
        OutOfBounds, Stuck: the program does what no chip can do.
        NotLocal: a program that has to be given whole inputs was given a part.
    """
    answers = {"load": _load, "inspect": _inspect, "constants": _constants}
    answers |= {"run": _run, "cover": _cover, "run_part": _run_part}
    return answers[header["op"]](header, blobs)


def _run(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    text, *inputs = blobs
    program, given = _program(text), arrays.unpack(header["inputs"], inputs)
    sample = header.get("sample")
    if sample is None:
        outputs, covered = program.run(given), []
    else:
        cells, seed = sample["cells"], sample["seed"]
        outputs, covered = program.run_sample(given, cells, seed, _masks(text, cells, seed))
    specs, output_blobs = arrays.pack(outputs)
    _, covered_blobs = arrays.pack(covered)
    return {"outputs": specs}, [*output_blobs, *covered_blobs]


def _masks(text: bytes, cells: int, seed: int) -> list[Any] | None:
    """Which elements a sample computes, from the program's text alone; None where that does not say it."""
    try:
        masks: list[Any] = _part_program(text).cover(cells, seed)
    except NotLocal:
        return None
    return masks


def _cover(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Where a sample lies along each of some axes, and which elements at these places it would compute.

    `axes` gives for each axis its size and its dimension in every output; one that does not fit has no places. The
    elements come as bits, because at a shape that is priced a whole mask has hundreds of millions.
    """
    sample = header["sample"]
    masks = _part_program(blobs[0]).cover(sample["cells"], sample["seed"])
    held = [_held(masks, size, dimensions) for size, dimensions in header["axes"]]
    cut = masks
    for places, (_, dimensions) in zip(held, header["axes"], strict=True):
        if places is not None:
            cut = [mask.take(places, dimension) for mask, dimension in zip(cut, dimensions, strict=True)]
    shares = [float(np.count_nonzero(part)) / max(mask.size, 1) for part, mask in zip(cut, masks, strict=True)]
    said = {"shapes": [list(mask.shape) for mask in cut], "share": min(shares, default=1.0)}
    return {**said, "held": held}, [np.packbits(mask).tobytes() for mask in cut]


def _held(masks: Sequence[Any], size: int, dimensions: Sequence[int]) -> list[int] | None:
    """The places along one dimension of every mask at which any of them has an element."""
    pairs = list(zip(masks, dimensions, strict=True))
    if any(mask.ndim <= dimension or mask.shape[dimension] != size for mask, dimension in pairs):
        return None
    along = [mask.any(axis=tuple(d for d in range(mask.ndim) if d != dimension)) for mask, dimension in pairs]
    return [int(place) for place in np.flatnonzero(np.logical_or.reduce(along))]


def _run_part(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """A sample on inputs of which only parts were drawn; gives the parts of the outputs that are asked for.

    `input_cuts` and `output_cuts` name for each array the places of the part along some of its dimensions.
    """
    text, *inputs = blobs
    program, parts, sample = _part_program(text), arrays.unpack(header["inputs"], inputs), header["sample"]
    whole = program.input_shapes
    places = [_places(shape, cuts) for shape, cuts in zip(whole, header["input_cuts"], strict=True)]
    outputs = program.run(parts, places, sample["cells"], sample["seed"])
    cut = [
        output[_places(output.shape, cuts)] for output, cuts in zip(outputs, header["output_cuts"], strict=True)
    ]
    specs, output_blobs = arrays.pack(cut)
    return {"outputs": specs}, output_blobs


def _places(shape: Sequence[int], cuts: Sequence[Any]) -> Any:
    """An index of the part; one dimension that is cut leaves the others whole, which is far cheaper to follow."""
    if len(cuts) < 2:
        chosen: list[Any] = [slice(None)] * len(shape)
        for dimension, places in cuts:
            chosen[dimension] = places
        return tuple(chosen)
    everywhere: list[Any] = [range(size) for size in shape]
    for dimension, places in cuts:
        everywhere[dimension] = places
    return np.ix_(*everywhere)


def _load(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Get a program ready; `keep` asks for what XLA made of it, which a second blob gives back later."""
    text, *kept = blobs
    program = _kept(_programs, text, lambda exported: ReplayProgram(exported, *kept))
    return {}, [program.executable()] if header["keep"] else []


def _inspect(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    from stablehlo_facts import facts_of  # type: ignore[import-not-found]

    return {"facts": facts_of(blobs[0], header["platform"])}, []


def _constants(header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    from stablehlo_facts import constants_of

    specs, contents = arrays.pack(constants_of(blobs[0], header["platform"], set(header["sizes"])))
    return {"constants": specs}, contents


def _program(text: bytes) -> ReplayProgram:
    """The program, decoded once: a judgement asks for the same one with several inputs."""
    return _kept(_programs, text, ReplayProgram)


def _part_program(text: bytes) -> PartProgram:
    return _kept(_part_programs, text, PartProgram)


def _kept(programs: "OrderedDict[str, Any]", text: bytes, make: Callable[[bytes], Any]) -> Any:
    key = hashlib.sha256(text).hexdigest()
    if key not in programs:
        programs[key] = make(text)
        while len(programs) > _KEPT_PROGRAMS:
            programs.popitem(last=False)
    programs.move_to_end(key)
    return programs[key]
