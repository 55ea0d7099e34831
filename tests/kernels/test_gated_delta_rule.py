"""The library: every implementation is the recurrence, for any length, head grouping, state and packing."""

import functools
import os
import subprocess
import sys

import numpy as np
import pytest
from interpreted import KERNELS, QUICKLY, load

sys.path.insert(0, str(KERNELS))

import itertools

import jax
import jax.numpy as jnp
from gated_delta_rule import gated_delta_rule, gated_delta_rule_decode, gdn_gates
from gated_delta_rule.fused import shared_by
from jax.experimental.pallas import tpu as pltpu

SEED = 20_240_229
EXACT = {"precision": "highest", "chunk_size": 16}


def draw(T: int, *, B=1, Hk=1, G=2, K=8, V=6, rho=0.0, decay=1.0, seed=SEED):
    """float32 inputs; keys share a direction by rho, g is between 0 and -decay, beta includes 0 and 1."""
    rng = np.random.default_rng(seed)
    q, k = (rng.standard_normal((B, T, Hk, K), np.float32) for _ in range(2))
    common = rng.standard_normal((B, 1, Hk, K), np.float32)
    k = rho * common / np.linalg.norm(common) + np.sqrt(1 - rho**2) * k / np.linalg.norm(k, axis=-1, keepdims=True)
    q, k = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (q, k))
    v = rng.standard_normal((B, T, Hk * G, V), np.float32)
    g = -decay * rng.uniform(size=v.shape[:3])
    beta = rng.choice([0.0, 0.5, 0.99, 1.0], size=v.shape[:3])
    return tuple(jnp.asarray(x, jnp.float32) for x in (q, k, v, g, beta))


def state_for(N: int, H=2, K=8, V=6):
    return jnp.asarray(np.random.default_rng(SEED + 1).standard_normal((N, H, K, V)), jnp.float32)


def ratio(got, want) -> float:
    got, want = (np.asarray(x, np.float64) for x in (got, want))
    return float(np.sqrt(np.mean((got - want) ** 2) / max(np.mean(want**2), 1e-30)))


@functools.cache
def jitted(options: tuple):
    return jax.jit(
        lambda inputs, arrays: gated_delta_rule(*inputs, **arrays, **dict(options)), compiler_options=QUICKLY
    )


def rule(*inputs, **options):
    """The public function as one program, which shapes and options alike share."""
    arrays = {name: options.pop(name) for name in ("initial_state", "cu_seqlens") if name in options}
    return jitted(tuple(sorted(options.items())))(inputs, arrays)


def test_recurrent_is_the_oracle():
    inputs = draw(37, B=2, Hk=3, G=1)
    o, final = rule(*inputs, implementation="recurrent")
    want = load("gdn/reference.py").reference(*inputs)
    assert ratio(o, want[0]) < 1e-5
    assert ratio(final, want[1]) < 1e-5


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("decay", [0.0, 0.02, 50.0])
def test_chunks_are_the_recurrence_for_correlated_keys_and_any_decay(rho, decay):
    inputs = draw(75, rho=rho, decay=decay)
    want = load("gdn/reference.py").reference(*(np.repeat(x, 2, 2) for x in inputs[:2]), *inputs[2:])
    got = rule(*inputs, implementation="xla_chunked", precision="highest", chunk_size=64)
    assert ratio(got[0], want[0]) < 1e-4
    assert ratio(got[1], want[1]) < 1e-4


@pytest.mark.parametrize("T", [0, 1, 15, 16, 33])
def test_lengths_and_resuming(T):
    inputs, start = draw(T + 5), state_for(1)
    early, late = ([x[:, :T] for x in inputs], [x[:, T:] for x in inputs])
    whole, whole_final = rule(*inputs, initial_state=start, implementation="recurrent")
    for implementation in ("recurrent", "xla_chunked"):
        options = {} if implementation == "recurrent" else EXACT
        first, middle = rule(*early, initial_state=start, implementation=implementation, **options)
        second, final = rule(*late, initial_state=middle, implementation=implementation, **options)
        assert ratio(jnp.concatenate([first, second], axis=1), whole) < 1e-5
        assert ratio(final, whole_final) < 1e-5


OFFSETS = [0, 0, 1, 17, 17, 41]  # an empty sequence first and inside, one of length 1


@pytest.mark.parametrize("implementation", ["recurrent", "xla_chunked"])
def test_packed_sequences_are_a_loop_over_sequences(implementation):
    inputs, start = draw(OFFSETS[-1]), state_for(len(OFFSETS) - 1)
    options = {} if implementation == "recurrent" else EXACT
    options = options | {
        "initial_state": start,
        "cu_seqlens": jnp.asarray(OFFSETS),
        "implementation": implementation,
    }
    o, final = rule(*inputs, **options)
    for i, (a, b) in enumerate(itertools.pairwise(OFFSETS)):
        alone = rule(*(x[:, a:b] for x in inputs), initial_state=start[i : i + 1], implementation="recurrent")
        assert ratio(o[:, a:b], alone[0]) < 1e-5 if b > a else True
        assert ratio(final[i], alone[1][0]) < 1e-5


@pytest.mark.parametrize("implementation", ["recurrent", "xla_chunked"])
def test_a_poisoned_sequence_does_not_leak(implementation):
    inputs = draw(OFFSETS[-1])
    poisoned = (*inputs[:2], inputs[2].at[:, 1:17].set(jnp.nan), *inputs[3:])
    options = {"cu_seqlens": jnp.asarray(OFFSETS), "implementation": implementation, "chunk_size": 16}
    (o, final), (bad, bad_final) = (rule(*x, **options) for x in (inputs, poisoned))
    assert np.isnan(bad[:, 1:17]).all()
    for a, b in ((0, 1), (17, 41)):
        np.testing.assert_array_equal(o[:, a:b], bad[:, a:b])
    np.testing.assert_array_equal(final[3:], bad_final[3:])


def gradients(implementation, inputs, start, offsets=None, **options):
    cu = None if offsets is None else jnp.asarray(offsets)

    def loss(inputs, start):
        o, final = gated_delta_rule(
            *inputs, initial_state=start, cu_seqlens=cu, implementation=implementation, **options
        )
        return jnp.sin(o).sum() + (0.0 if start is None else jnp.cos(final).sum())

    gradient = jax.grad(loss, argnums=0 if start is None else (0, 1))
    return jax.tree.leaves(jax.jit(gradient, compiler_options=QUICKLY)(inputs, start))


@pytest.mark.parametrize("offsets", [None, OFFSETS])
def test_gradients_of_chunks_are_those_of_the_recurrence(offsets):
    inputs, start = draw(OFFSETS[-1], rho=0.9), state_for(1 if offsets is None else len(OFFSETS) - 1)
    want = gradients("recurrent", inputs, start, offsets)
    for got, exact in zip(gradients("xla_chunked", inputs, start, offsets, **EXACT), want, strict=True):
        assert ratio(got, exact) < 1e-4


def test_gate_parameter_gradient_points_the_same_way():
    """A_log and dt_bias, through the gates, against the recurrence, with products rounded where they may be."""
    q, k, v, _, beta = draw(96, Hk=4, G=1, rho=0.9)
    rng = np.random.default_rng(SEED)
    a = jnp.asarray(rng.standard_normal(beta.shape), jnp.float32)
    parameters = jnp.asarray(rng.standard_normal((2, 4)) - 3, jnp.float32)

    def loss(parameters, implementation, precision):
        g, _ = gdn_gates(a, a, *parameters)
        return jnp.sin(
            gated_delta_rule(q, k, v, g, beta, implementation=implementation, precision=precision)[0]
        ).sum()

    gradient = jax.jit(jax.grad(loss), static_argnums=(1, 2), compiler_options=QUICKLY)
    exact = gradient(parameters, "recurrent", "highest").ravel()
    got = gradient(parameters, "xla_chunked", "mixed").ravel()
    assert (got @ exact) / jnp.sqrt((got @ got) * (exact @ exact)) >= 0.999


def test_decoding_token_by_token_is_the_recurrence():
    inputs, state = draw(9, B=3), state_for(3)
    want, final = gated_delta_rule(*inputs, initial_state=state, implementation="recurrent", use_qk_l2norm=True)
    for t in range(9):
        o, state = gated_delta_rule_decode(*(x[:, t] for x in inputs), state, use_qk_l2norm=True)
        assert ratio(o, want[:, t]) < 1e-5
    assert ratio(state, final) < 1e-5


def half(T: int, Hk: int, G: int, K=64, V=32):
    """bfloat16 inputs and the same in float32, with lanes to fill up: K = 64, V = 32."""
    inputs = draw(T, Hk=Hk, G=G, K=K, V=V, rho=0.9, decay=0.05)
    narrow = (*(x.astype(jnp.bfloat16) for x in inputs[:3]), *inputs[3:])
    return narrow, tuple(x.astype(jnp.float32) for x in narrow)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("implementation", ["pallas", "gpu"])
def test_fused_forward_packed_and_resumed(implementation):
    narrow, wide = half(150, Hk=1, G=2)
    options = {"cu_seqlens": jnp.asarray([0, 3, 3, 150]), "initial_state": state_for(3, K=64, V=32)}
    want = rule(*wide, implementation="recurrent", **options)
    with pltpu.force_tpu_interpret_mode(True):
        o, final = rule(*narrow, implementation=implementation, **options)
    assert ratio(o, want[0]) < 5e-3
    assert ratio(final, want[1]) < 5e-3


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("policy", "T", "Hk", "G"),
    [
        ("none", 150, 2, 1),
        ("inverse", 150, 2, 1),
        ("state", 150, 2, 1),
        ("checkpoint", 700, 2, 1),  # more than one segment
        ("state", 150, 2, 2),  # heads that share keys: their gradients are summed
    ],
)
def test_fused_backward_with_every_save_policy(policy, T, Hk, G):
    narrow, wide = half(T, Hk, G)
    want = gradients("recurrent", wide, None)
    with pltpu.force_tpu_interpret_mode(True):
        got = gradients("pallas", narrow, None, save_policy=policy)
    for one, exact, limit in zip(got, want, (0.012, 0.012, 0.012, 0.02, 0.02), strict=True):
        assert ratio(one, exact) < limit


@pytest.mark.parametrize(
    ("keys", "heads", "shared"), [(16, 16, 1), (16, 32, 2), (16, 48, 1), (16, 64, 2), (2, 16, 8)]
)
def test_as_many_heads_share_a_key_head_as_fit(keys, heads, shared):
    assert shared_by(keys, heads) == shared


@pytest.mark.parametrize("family", ["normal", "correlated", "strong_decay"])
def test_gpu_forward_matches_the_oracle(family):
    gdn = load("gdn/reference.py")
    inputs = gdn.make_inputs(SEED, {"B": 2, "T": 192, "H": 2, "K": 128, "V": 128}, family)
    want = gdn.reference(*inputs)
    with pltpu.force_tpu_interpret_mode(True):
        got = rule(*inputs, implementation="gpu")
    assert ratio(got[0], want[0]) < 6e-3
    assert ratio(got[1], want[1]) < 6e-3


def test_gpu_gradients_sum_over_heads_that_share_keys():
    narrow, wide = half(70, Hk=1, G=2)
    want = gradients("recurrent", wide, None)
    with pltpu.force_tpu_interpret_mode(True):
        got = gradients("gpu", narrow, None)
    for one, exact in zip(got, want, strict=True):
        assert ratio(one, exact) < 0.012


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("Hk", "H", "K", "V"), [(16, 32, 128, 128), (1, 3, 96, 24)])
def test_gpu_kernels_lower_to_triton(packed, Hk, H, K, V):
    """What can be shown without a GPU: forward, alone and with its gradient, becomes two Triton kernels."""
    spec = jax.ShapeDtypeStruct
    keys, values, gate = ((1, 300, n, width) for n, width in ((Hk, K), (H, V), (H, 1)))
    inputs = [spec(keys, jnp.bfloat16)] * 2 + [spec(values, jnp.bfloat16)] + [spec(gate[:3], jnp.float32)] * 2
    offsets = spec((4,), jnp.int32)

    def loss(inputs, offsets):
        o, _ = gated_delta_rule(*inputs, implementation="gpu", cu_seqlens=offsets if packed else None)
        return o.astype(jnp.float32).sum()

    for function in (loss, jax.value_and_grad(loss)):
        lowered = jax.jit(function).trace(inputs, offsets).lower(lowering_platforms=("cuda",)).as_text()
        assert lowered.count("__gpu$xla.gpu.triton") == 2


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"v": (1, 4, 3, 6)}, {}, "no multiple"),
        ({"g": (1, 4, 1)}, {}, "one per token"),
        ({"v": (1, 5, 2, 6)}, {}, "must be"),
        ({}, {"cu_seqlens": jnp.zeros((2, 2), jnp.int32)}, "cu_seqlens"),
        ({}, {"initial_state": jnp.zeros((1, 1, 8, 6))}, "initial_state"),
        ({}, {"implementation": "triton"}, "implementation"),
        ({}, {"precision": "low"}, "precision"),
        ({}, {"save_policy": "all"}, "save_policy"),
        ({}, {"chunk_size": 48}, "chunk_size=48"),
        ({}, {"implementation": "pallas", "precision": "highest"}, "highest"),
        ({}, {"implementation": "gpu", "precision": "highest"}, "highest"),
        ({}, {"implementation": "pallas", "chunk_size": 32}, "64, 128"),
        ({}, {"implementation": "gpu", "chunk_size": 256}, "16, 32, 64, 128"),
    ],
)
def test_what_does_not_fit_is_refused(change, options, message):
    inputs = dict(zip(("q", "k", "v", "g", "beta"), draw(4, Hk=2, G=1), strict=True))
    inputs |= {name: jnp.zeros(shape) for name, shape in change.items()}
    with pytest.raises(ValueError, match=message):
        gated_delta_rule(*inputs.values(), **options)


def test_it_works_without_cairn():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import gated_delta_rule; "
        "sys.exit('cairn' in sys.modules or not gated_delta_rule.__doc__)"
    )
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    assert subprocess.run([sys.executable, "-c", code, str(KERNELS)], env=environment, timeout=300).returncode == 0
