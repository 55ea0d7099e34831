"""The fused TPU kernels behind one differentiable function; they are the judged variants, loaded from their files."""

import functools
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from gated_delta_rule.chunked import chunked

KERNELS = Path(__file__).parents[1]
TILE = 128  # tokens of a tile of the fused kernels, and their lanes
HEADS_PER_BLOCK = 8  # of both kernels where one saves for the other: they must cut heads alike


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
    """(o, final) of bfloat16 q, k, v and float32 g, beta in `inputs`, all of as many heads; initial may be None."""
    return _forward(chunk, scale, False, inputs, initial, plan)[:2]


def _forward(chunk: int, scale: float, save: bool, inputs, initial, plan):
    module = variant("gdn", "pallas_fwd")
    heads = {"heads_per_block": HEADS_PER_BLOCK} if save else {}
    config = module.Config(chunk=TILE if save else chunk, **heads)
    q, k, v, *gates = inputs
    K, V = k.shape[-1], v.shape[-1]
    q, k, v = _lanes(q), _lanes(k), _lanes(v)
    if initial is not None:
        initial = _lanes(_lanes(initial).swapaxes(-1, -2)).swapaxes(-1, -2)
    o, final, saved = module.forward(
        q, k, v, *gates, config=config, scale=scale, initial_state=initial, plan=plan, save=save
    )
    return o[..., :V], final[..., :K, :V], saved


def _lanes(x: jax.Array) -> jax.Array:
    """Zeros up to a multiple of the lanes."""
    missing = -x.shape[-1] % TILE
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)]) if missing else x


def _fused_forward(chunk, scale, save_policy, inputs, initial, plan):
    inputs, initial, plan = jax.tree.map(lambda x: x.value, (inputs, initial, plan), is_leaf=_is_primal)
    save = save_policy == "state" and initial is None and plan is None
    o, final, saved = _forward(chunk, scale, save, inputs, initial, plan)
    return (o, final), (inputs, initial, plan, saved)


def _is_primal(x) -> bool:
    return hasattr(x, "perturbed")


def _fused_backward(chunk, scale, save_policy, residuals, cotangents):
    """The fused kernel for sequences that start at zero and whose final state nobody differentiates; else XLA."""
    del save_policy
    inputs, initial, plan, saved = residuals
    d_o, d_final = cotangents
    if initial is not None or plan is not None or not isinstance(d_final, SymbolicZero):
        d_inputs, d_initial = _backward_by_xla(chunk, scale, inputs, initial, plan, cotangents)
        return d_inputs, d_initial, None
    q, k, v, g, beta = inputs
    d_o = jnp.zeros(d_o.shape, d_o.dtype) if isinstance(d_o, SymbolicZero) else d_o
    module = variant("gdn_bwd", "pallas_bwd")
    config = module.Config(heads_per_block=HEADS_PER_BLOCK)
    wide = [_lanes(x) for x in (q, k, v)]
    found = module.backward(*wide, g, beta, _lanes(d_o), config=config, scale=scale, saved=saved or None)
    dq, dk, dv, dg, dbeta = found
    return (dq[..., : q.shape[-1]], dk[..., : k.shape[-1]], dv[..., : v.shape[-1]], dg, dbeta), None, None


def _backward_by_xla(chunk, scale, inputs, initial, plan, cotangents):
    q, k, v = inputs[:3]
    start = jnp.zeros((*q.shape[:1], q.shape[2], k.shape[-1], v.shape[-1])) if initial is None else initial
    T = q.shape[1]
    size = TILE if plan is not None else chunk  # a plan is made for tiles

    def forward(inputs, start):
        padded = [jnp.pad(x, [(0, 0), (0, -T % size)] + [(0, 0)] * (x.ndim - 2)) for x in inputs]
        o, final = chunked(*padded, start, plan, size, scale, "mixed")
        return o[:, :T].astype(v.dtype), final

    outputs, pull = jax.vjp(forward, inputs, start)
    given = [
        jnp.zeros(x.shape, out.dtype) if isinstance(x, SymbolicZero) else x.astype(out.dtype)
        for x, out in zip(cotangents, outputs, strict=True)
    ]
    d_inputs, d_start = pull(tuple(given))
    return d_inputs, None if initial is None else d_start


fused.defvjp(_fused_forward, _fused_backward, symbolic_zeros=True)
