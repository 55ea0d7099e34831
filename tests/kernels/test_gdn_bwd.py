"""The oracle of the backward pass is the derivative of the forward oracle, and nothing it was copied from."""

import numpy as np
import pytest
from interpreted import interpret, load

SEED = 20_240_229
STEP = 1e-5


@pytest.mark.parametrize("family", ["normal", "correlated", "strong_decay"])
def test_oracle_is_the_derivative_of_the_forward_oracle(family):
    """Central differences of sum(do * o) in float64, every input, over more than one stored segment."""
    backward, forward = load("gdn_bwd/reference.py"), load("gdn/reference.py")
    shape = {"B": 1, "T": backward.SEGMENT + 3, "H": 1, "K": 3, "V": 2}
    *inputs, do = (np.asarray(x, np.float64) for x in backward.make_inputs(SEED, shape, family))
    gradients = backward.reference(*inputs, do)
    for position, gradient in enumerate(gradients):
        numeric = np.zeros_like(gradient)
        for index in np.ndindex(*gradient.shape):
            moved = [[x.copy() for x in inputs] for _ in range(2)]
            moved[0][position][index] += STEP
            moved[1][position][index] -= STEP
            above, below = ((forward.reference(*x)[0] * do).sum() for x in moved)
            numeric[index] = (above - below) / (2 * STEP)
        np.testing.assert_allclose(gradient, numeric, atol=1e-7 * max(1.0, np.abs(gradient).max()))


def test_decay_gradient_points_where_the_oracle_points():
    """The gradient of a gate parameter that scales all decays of a head: the direction, not only the size."""
    backward = load("gdn_bwd/reference.py")
    inputs = backward.make_inputs(SEED, {"B": 1, "T": 256, "H": 2, "K": 128, "V": 128}, "correlated")
    exact = backward.reference(*inputs)[3]
    for variant in ("xla_chunked", "pallas_bwd"):
        got = interpret("gdn_bwd", variant, inputs)[3].astype(np.float64)
        cosine = (got * exact).sum() / np.sqrt((got**2).sum() * (exact**2).sum())
        assert cosine >= 0.999
