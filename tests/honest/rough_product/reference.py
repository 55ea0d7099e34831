"""c = a b with float32 operands."""

import numpy as np


def input_specs(shape):
    m, n, k = (shape[axis] for axis in "MNK")
    return [((m, k), "float32"), ((k, n), "float32")]


def make_inputs(seed, shape, family="normal"):
    rng = np.random.default_rng(seed)
    m, n, k = (shape[axis] for axis in "MNK")
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    if family == "positive":
        a, b = abs(a), abs(b)
    if family == "large":
        a, b = 1e3 * a, 1e3 * b
    return tuple(array.astype(np.float32) for array in (a, b))


def reference(a, b):
    return (a.astype(np.float64) @ b.astype(np.float64),)


def cost(shape):
    m, n, k = (shape[axis] for axis in "MNK")
    return 2 * m * n * k, 4 * (m * k + k * n) + 4 * m * n
