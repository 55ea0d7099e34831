"""What must hold for Gated DeltaNet beyond agreeing with its oracle: the oracle itself, causality, the inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interpreted import interpret, load

SEED = 20_240_229
SHAPE = {"B": 1, "T": 256, "H": 2, "K": 128, "V": 128}


@pytest.fixture(scope="module")
def gdn():
    return load("gdn/reference.py")


def one_head(q, k, v, g, beta, state):
    """The recurrence in its other form, S <- e^g (I - beta k k^T) S + beta k v^T, one head, with a given state."""
    outputs = []
    for t in range(len(q)):
        transition = np.exp(g[t]) * (np.eye(k.shape[1]) - beta[t] * np.outer(k[t], k[t]))
        state = transition @ state + beta[t] * np.outer(k[t], v[t])
        outputs.append(state.T @ q[t] / np.sqrt(k.shape[1]))
    return np.array(outputs), state


@pytest.mark.parametrize("family", ["normal", "correlated", "strong_decay"])
def test_oracle_equals_the_other_form_split_and_resumed(gdn, family):
    inputs = [
        x.astype(np.float64) for x in gdn.make_inputs(SEED, {"B": 2, "T": 24, "H": 3, "K": 8, "V": 6}, family)
    ]
    o, final_state = gdn.reference(*inputs)
    for b, h in np.ndindex(2, 3):
        q, k, v, g, beta = (x[b, :, h] for x in inputs)
        early, state = one_head(q[:11], k[:11], v[:11], g[:11], beta[:11], np.zeros((8, 6)))
        late, state = one_head(q[11:], k[11:], v[11:], g[11:], beta[11:], state)
        np.testing.assert_allclose(np.concatenate([early, late]), o[b, :, h], atol=1e-13)
        np.testing.assert_allclose(state, final_state[b, h], atol=1e-13)


def by_hand(gdn, keys, values, g, beta):
    """Run the oracle on one head with q = k, undoing the output scale."""
    T, K = keys.shape
    columns = [x[None, :, None] for x in (keys, keys, values)]
    gates = [np.full((1, T, 1), x) for x in (g, beta)]
    o, state = gdn.reference(*columns, *gates)
    return o[0, :, 0] * np.sqrt(K), state[0, 0]


def test_orthonormal_keys_are_recalled_exactly(gdn):
    values = np.random.default_rng(1).standard_normal((8, 5))
    read, state = by_hand(gdn, np.eye(8), values, g=0.0, beta=1.0)
    np.testing.assert_allclose(read, values, atol=1e-15)
    np.testing.assert_allclose(state, values, atol=1e-15)


def test_a_repeated_key_overwrites(gdn):
    keys, values = np.eye(4)[[0, 1, 0]], np.arange(9.0).reshape(3, 3)
    _, state = by_hand(gdn, keys, values, g=0.0, beta=1.0)
    np.testing.assert_allclose(state[:2], values[[2, 1]], atol=1e-15)


def test_full_decay_forgets_everything_before(gdn):
    keys = np.random.default_rng(2).standard_normal((6, 4))
    values = np.random.default_rng(3).standard_normal((6, 4))
    read, _ = by_hand(gdn, keys, values, g=-50.0, beta=0.5)
    np.testing.assert_allclose(read, 0.5 * (keys**2).sum(1, keepdims=True) * values, atol=1e-12)


@pytest.mark.parametrize("variant", ["xla_chunked", "pallas_fwd"])
def test_the_past_does_not_see_the_future(gdn, variant):
    """Bit for bit: what is masked is multiplied by an exact zero."""
    inputs = gdn.make_inputs(SEED, SHAPE, "normal")
    later = 100  # inside a chunk
    other = [x.copy() for x in inputs]
    for x, y in zip(other, gdn.make_inputs(SEED + 1, SHAPE, "correlated"), strict=True):
        x[:, later:] = y[:, later:]
    before, after = (interpret("gdn", variant, x)[0] for x in (inputs, other))
    np.testing.assert_array_equal(before[:, :later], after[:, :later])
    assert (before[:, later:] != after[:, later:]).any()


def neumann_inverse(strict):
    """The tempting inverse, as a counter-example: (I+N)(I+N^2)(I+N^4)... with N = -strict, exact on paper.

    For a chunk of 64 it is 10 large matmuls and no substitution, so every port to matrix hardware meets it. N is
    nilpotent, but with correlated keys its powers grow like binomials to 1e20 before they vanish, and the true
    inverse, with entries below 1, is what is left after they cancel. No working precision survives that.
    """
    power = -strict
    inverse = jnp.eye(len(strict)) + power
    for _ in range(1, (len(strict) - 1).bit_length()):
        power = jnp.dot(power, power, precision=jax.lax.Precision.HIGHEST)
        inverse = inverse + jnp.dot(inverse, power, precision=jax.lax.Precision.HIGHEST)
    return inverse


def chunk_system(gdn, C: int, family: str) -> np.ndarray:
    """strict_lower(D * diag(beta) K K^T) of one chunk of the family, in float32."""
    _, k, _, g, beta = gdn.make_inputs(SEED, {**SHAPE, "T": C, "H": 1}, family)
    k, g, beta = k[0, :, 0].astype(np.float64), g[0, :, 0].astype(np.float64), beta[0, :, 0]
    cum = np.cumsum(g)
    decay = np.exp(np.minimum(cum[:, None] - cum[None, :], 0))
    return np.tril(decay * (k @ k.T) * beta[:, None], -1).astype(np.float32)


def inverse_error(inverse, strict: np.ndarray) -> float:
    exact = np.linalg.inv(np.eye(len(strict)) + strict.astype(np.float64))
    return float(np.linalg.norm(np.asarray(inverse, np.float64) - exact) / np.linalg.norm(exact))


@pytest.mark.parametrize("C", [64, 128, 256])
@pytest.mark.parametrize("family", ["normal", "correlated", "strong_decay"])
def test_block_doubling_inverts_every_family(gdn, C, family):
    strict = chunk_system(gdn, C, family)
    inverse = jax.jit(load("gated_delta_rule/chunked.py").unit_lower_inverse)(strict)
    assert inverse_error(inverse, strict) < 1e-5


@pytest.mark.parametrize("C", [64, 128])
def test_the_neumann_series_fails_where_random_keys_do_not_show_it(gdn, C):
    assert inverse_error(neumann_inverse(chunk_system(gdn, C, "normal")), chunk_system(gdn, C, "normal")) < 1e-4
    assert (
        inverse_error(neumann_inverse(chunk_system(gdn, C, "correlated")), chunk_system(gdn, C, "correlated"))
        > 1e3
    )
