"""Load a kernel file from its path and run it without a TPU, the way a worker does it."""

import functools
import importlib.util
import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # an installed libtpu would look for a TPU first

import jax
import numpy as np
from jax.experimental.pallas import tpu as pltpu

KERNELS = Path(__file__).parents[2] / "kernels"
# An interpreted kernel is a large program that runs once on small arrays: compiling it well costs more than it saves.
QUICKLY = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


@functools.cache
def load(relative: str):
    """Import a file of the kernels folder from its path; it is no package."""
    path = KERNELS / relative
    name = "kernels_under_test_" + relative.removesuffix(".py").replace("/", "_")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@functools.cache
def truth(name: str):
    """A problem's oracle. What `cairn problem new` draws is plain JAX beside it, in 64 bits: none of that stays."""
    folder, known, wide = str(KERNELS / name), set(sys.modules), jax.config.jax_enable_x64
    sys.path.insert(0, folder)
    try:
        module = load(f"{name}/reference.py")
        asks_for_64_bits = jax.config.jax_enable_x64
    finally:
        sys.path.remove(folder)
        jax.config.update("jax_enable_x64", wide)
    for beside in set(sys.modules) - known:
        if (getattr(sys.modules[beside], "__file__", None) or "") == f"{folder}/{beside}.py":
            del sys.modules[beside]  # the next problem may have one of the same name
    if asks_for_64_bits:
        module.reference = jax.enable_x64(True)(module.reference)
    return module


@functools.cache
def compiled(name: str, variant: str, point: tuple):
    """The jitted variant; families of one shape share its compiled program."""
    module = load(f"{name}/variants/{variant}.py")
    config = module.Config(**dict(point))
    return jax.jit(lambda *inputs: module.run(*inputs, config=config), compiler_options=QUICKLY)


def interpret(name: str, variant: str, inputs, point: tuple = ()) -> list[np.ndarray]:
    """Run on the CPU with Pallas calls lowered to plain XLA, which is fast and rounds as the casts say."""
    with pltpu.force_tpu_interpret_mode(True):
        return [np.asarray(out) for out in compiled(name, variant, point)(*inputs)]
