"""Run a call in the interpreters of Pallas, several ways, and report what each way showed.

`plain` turns kernels into ordinary XLA operations: fast, and blind to memories, copies and semaphores. The other ways
simulate them event by event, each with a weakness that another one has not: a wait that is missing gives garbage when
copies run at the wait, and goes unnoticed when they run at once; memory that was never written shows as NaN, unless
the kernel masks NaN away, so a second run fills with zeros; a grid axis that is wrongly called parallel passes in
order, and shows with two cores and a shuffled order.
"""

import contextlib
import io
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import arrays  # type: ignore[import-not-found]
import jax
import numpy as np
from jax.experimental.pallas import tpu as pltpu

Reply = tuple[dict[str, Any], list[bytes]]
_TOLD_CHARS = 4_000
_SPREAD = 0.1  # random inputs are small, so that exponentials and long sums stay finite


def ways(seed: int) -> dict[str, Any]:
    """Parameters by name; `plain` stands for the conversion to XLA operations."""
    base = {"out_of_bounds_reads": "raise"}
    return {
        "plain": None,
        "on_wait": {**base, "dma_execution_mode": "on_wait", "uninitialized_memory": "nan", "detect_races": True},
        "eager": {**base, "dma_execution_mode": "eager", "uninitialized_memory": "zero"},
        "two_cores": {
            **base,
            "dma_execution_mode": "on_wait",
            "uninitialized_memory": "nan",
            "detect_races": True,
            "num_cores_or_threads": 2,
            "random_seed": seed,
        },
    }


def interpreted(call: Any, header: dict[str, Any], blobs: Sequence[bytes]) -> Reply:
    """Run the call every way; the outputs of the first event-by-event run that gave any are returned.

    Args:
        call: a `user_arguments.Call`.
        header: `inputs` (specs of the blobs, or None for random ones), `seed`, and `ways` to use.
        blobs: inputs.
    """
    inputs = _inputs(call, header, blobs)
    chosen = {name: settings for name, settings in ways(header["seed"]).items() if name in header["ways"]}
    runs = []
    outputs: dict[str, list[np.ndarray]] = {}
    for name, settings in chosen.items():
        run, result = _run(call.function, inputs, settings)
        if result is not None:
            run["nan_share"] = _nan_share(result)
            outputs[name] = result
        runs.append({"way": name, **run})
    base = outputs.get("on_wait", outputs.get("plain"))
    for run in runs:
        if base is not None and run["way"] in outputs:
            run["difference"] = _difference(outputs[run["way"]], base)
    specs, packed = arrays.pack(base or [])
    return {"runs": runs, "outputs": specs}, packed


def _inputs(call: Any, header: dict[str, Any], blobs: Sequence[bytes]) -> list[Any]:
    if header["inputs"] is not None:
        return list(arrays.unpack(header["inputs"], blobs))
    generator = np.random.default_rng(header["seed"])
    return [_random(generator, parameter) for parameter in call.parameters]


def _random(generator: np.random.Generator, parameter: jax.ShapeDtypeStruct) -> Any:
    if jax.numpy.issubdtype(parameter.dtype, jax.numpy.floating):
        return (generator.standard_normal(parameter.shape, np.float32) * _SPREAD).astype(parameter.dtype)
    if parameter.dtype == np.bool_:
        return generator.random(parameter.shape) < 0.5
    return generator.integers(0, 2, parameter.shape).astype(parameter.dtype)


def _run(
    function: Callable[..., Any], inputs: list[Any], settings: dict[str, Any] | None
) -> tuple[dict[str, Any], list[np.ndarray] | None]:
    parameters: Any = True if settings is None else pltpu.InterpretParams(**settings)
    told, result, error = io.StringIO(), None, None
    started = time.monotonic()
    with contextlib.redirect_stdout(told):
        try:
            with pltpu.force_tpu_interpret_mode(parameters):
                result = [np.asarray(value) for value in jax.block_until_ready(jax.jit(function)(*inputs))]
        except (
            RuntimeError,
            ValueError,
            TypeError,
            IndexError,
            AssertionError,
            NotImplementedError,
            KeyError,
        ) as raised:
            error = {
                "type": type(raised).__name__,
                "message": str(raised)[-_TOLD_CHARS:],  # what was raised inside a callback stands last
                "traceback": "".join(traceback.format_exception(raised))[-_TOLD_CHARS:],
            }
        races = settings is not None and _races_found()
        if settings is not None and error is not None:
            pltpu.reset_tpu_interpret_mode_state()
    text = told.getvalue()
    run = {"seconds": time.monotonic() - started, "error": error, "told": text[:_TOLD_CHARS]}
    return {**run, "races": bool(races or "RACE DETECTED" in text)}, result


def _races_found() -> bool:
    """What the detector remembers; a private place of jax, so its message is looked for as well."""
    try:
        from jax._src.pallas.mosaic.interpret import interpret_pallas_call
    except ImportError:
        return False
    return bool(getattr(getattr(interpret_pallas_call, "races", None), "races_found", False))


def _nan_share(outputs: Sequence[np.ndarray]) -> float:
    floats = [np.isnan(output.astype(np.float32)) for output in outputs if output.dtype.kind not in "iub"]
    count = sum(flags.size for flags in floats)
    return float(sum(flags.sum() for flags in floats) / count) if count else 0.0


def _difference(mine: Sequence[np.ndarray], base: Sequence[np.ndarray]) -> float:
    """Largest difference of any element, relative to the largest element; infinite where only one is NaN."""
    worst = 0.0
    for ours, theirs in zip(mine, base, strict=True):
        a, b = ours.astype(np.float64), theirs.astype(np.float64)
        both = np.isnan(a) & np.isnan(b)
        if not a.size or both.all():
            continue
        if (np.isnan(a) != np.isnan(b)).any():
            return float("inf")
        scale = max(float(np.abs(b[~both]).max()), 1e-30)
        worst = max(worst, float(np.abs(a - b)[~both].max()) / scale)
    return worst
