"""The fused TPU kernels behind one differentiable function; they are the judged variants, loaded from their files."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.experimental.pallas import tpu as pltpu

from gated_delta_rule import resweep
from gated_delta_rule.backward import backward_by_xla

KERNELS = Path(__file__).parents[1]
TILE = 128  # tokens of a tile of the fused kernels, and their lanes
HEADS_PER_BLOCK = 8  # of both kernels where one saves for the other: they must cut heads alike
# What the forward kernel keeps of every tile of 128 tokens, by save policy, and of which tiles.
SAVED = {
    "auto": (),
    "none": (),
    "checkpoint": ("start",),
    "inverse": ("inverse", "corner"),
    "state": ("inverse", "corner", "start", "update"),
}


def roomy() -> bool:
    """Whether there is more vector memory than the 16 MiB of a v4."""
    try:
        return pltpu.get_tpu_info().vmem_capacity_bytes > 16 << 20
    except ValueError:  # no TPU: an interpreter, to which sizes are all one
        return True


def checkpoint_every() -> int:
    """Tiles between two states of the save policy `checkpoint`; what lies between waits in vector memory."""
    return 4 if roomy() else 2


def shared_by(keys: int, heads: int) -> int:
    """How many of the heads that read a key head the kernels can let share it: a divisor of heads / keys.

    More would make blocks too large, for a block holds whole groups and eights of key heads; and two heads share a
    word, so that no odd group but one ends where a word ends.
    """
    group = heads // keys
    most = 16 if roomy() else 8
    fits = [g for g in range(2, group + 1, 2) if group % g == 0 and g * min(8, heads // g) <= most]
    return max(fits, default=1)


@functools.cache
def variant(problem: str, name: str) -> ModuleType:
    """The module of a variant of the kernels folder."""
    path = KERNELS / problem / "variants" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"gated_delta_rule._{problem}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def fused(chunk: int, scale: float, save_policy: str, inputs, initial, plan):
    """(o, final) of bfloat16 q, k, v and float32 g, beta in `inputs`; initial may be None.

    Each head of q and k is read by as many heads of v as `shared_by` allows.
    """
    return _forward(chunk, scale, "none", inputs, initial, plan)[:2]


def _forward(chunk: int, scale: float, policy: str, inputs, initial, plan):
    module, save = variant("gdn", "pallas_fwd"), SAVED[policy]
    heads = {"heads_per_block": HEADS_PER_BLOCK} if save else {}
    config = module.Config(chunk=TILE if save else chunk, **heads)
    q, k, v, *gates = inputs
    K, V = k.shape[-1], v.shape[-1]
    q, k, v = _lanes(q), _lanes(k), _lanes(v)
    if initial is not None:
        initial = _lanes(_lanes(initial).swapaxes(-1, -2)).swapaxes(-1, -2)
    every = checkpoint_every() if policy == "checkpoint" else 1
    o, final, saved = module.forward(
        q, k, v, *gates, config=config, scale=scale, initial_state=initial, plan=plan, save=save, every=every
    )
    return o[..., :V], final[..., :K, :V], saved


def _lanes(x: jax.Array) -> jax.Array:
    """Zeros up to a multiple of the lanes."""
    missing = -x.shape[-1] % TILE
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)]) if missing else x


def _fused_forward(chunk, scale, save_policy, inputs, initial, plan):
    inputs, initial, plan = jax.tree.map(lambda x: x.value, (inputs, initial, plan), is_leaf=_is_primal)
    policy = save_policy if initial is None and plan is None else "none"
    o, final, saved = _forward(chunk, scale, policy, inputs, initial, plan)
    return (o, final), (inputs, initial, plan, saved)


def _is_primal(x) -> bool:
    return hasattr(x, "perturbed")


def _fused_backward(chunk, scale, save_policy, residuals, cotangents):
    """The fused kernel for sequences that start at zero and whose final state nobody differentiates; else XLA."""
    inputs, initial, plan, saved = residuals
    d_o, d_final = cotangents
    if initial is not None or plan is not None or not isinstance(d_final, SymbolicZero):
        size = TILE if plan is not None else chunk  # a plan is made for tiles
        return (*backward_by_xla(size, scale, inputs, initial, plan, cotangents), None)
    q, k, v, g, beta = inputs
    d_o = jnp.zeros(d_o.shape, d_o.dtype) if isinstance(d_o, SymbolicZero) else d_o
    module = variant("gdn_bwd", "pallas_bwd")
    given = (*(_lanes(x) for x in (q, k, v)), g, beta, _lanes(d_o))
    if save_policy == "checkpoint":
        found = resweep.backward(module, *given, saved["start"], every=checkpoint_every(), scale=scale)
    else:
        config = module.Config(heads_per_block=HEADS_PER_BLOCK)
        found = module.backward(*given, config=config, scale=scale, saved=saved)
    dq, dk, dv, dg, dbeta = found
    return (dq[..., : q.shape[-1]], dk[..., : k.shape[-1]], dv[..., : v.shape[-1]], dg, dbeta), None, None


fused.defvjp(_fused_forward, _fused_backward, symbolic_zeros=True)
