"""Lowers functions for a TPU the way a worker does, and asks a replay worker for their outputs."""

import functools
import importlib.util
import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # an installed libtpu would look for a TPU first

import jax
import ml_dtypes
import numpy as np
from jax import export
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from cairn.judge.correctness import Wire
from cairn.worker.seen_as import seen_as

KERNELS = Path(__file__).parents[2] / "kernels"
BF16 = ml_dtypes.bfloat16
# An interpreted kernel is a large program that runs once on small arrays: compiling it well costs more than it saves.
QUICKLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


def lower(function, *inputs, chip: str = "TPU v5") -> bytes:
    """The serialised program of a function of arrays (only their shapes and types matter).

    `chip`: what code is told that asks which device it is on while it is traced, as rules of the lowering do.
    """
    abstract = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs]
    unsafe = [
        export.DisabledSafetyCheck.custom_call(name)
        for name in ("tpu_custom_call", "xla_ffi_python_cpu_callback", "annotate_device_placement")
    ]
    with seen_as(chip, 1):
        program = export.export(
            _jitted(function),
            platforms=["tpu"],
            disabled_checks=unsafe,
        )(*abstract)
    return bytes(program.serialize())


def _jitted(function):
    """jit it, unless somebody did."""
    return function if hasattr(function, "lower") else jax.jit(function)


def replayed(replayer, program: bytes, *inputs) -> list[np.ndarray]:
    """Outputs of a program in the replay worker."""
    specs = [{"dtype": x.dtype.name, "shape": list(x.shape)} for x in inputs]
    return [decoded(wire) for wire in replayer.run(program, specs, [x.tobytes() for x in inputs])]


def decoded(wire: Wire) -> np.ndarray:
    return np.frombuffer(wire.data, np.dtype(wire.dtype)).reshape(wire.shape)


def interpreted(function, *inputs) -> list[np.ndarray]:
    """Outputs from Pallas's interpreter, where the candidate's own Python runs."""
    with pltpu.force_tpu_interpret_mode(True):
        outputs = _jitted(function)(*inputs)
    return [np.asarray(output) for output in jax.tree.leaves(outputs)]


def block_call(kernel, *outputs, **options):
    """A kernel on whole arrays; `outputs` are (shape, dtype)."""
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in outputs]
    return pl.pallas_call(kernel, out_shape=shapes if len(shapes) > 1 else shapes[0], **options)


@functools.cache
def load(path: Path):
    """Import a kernel's file, which is no package."""
    name = "replayed_" + "_".join(path.parts[-3:]).removesuffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


def normal(*shape: int, dtype=np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    """Largest error over the largest truth; NaN when something is NaN."""
    got, want = got.astype(np.float64), want.astype(np.float64)
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))
