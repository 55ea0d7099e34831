"""Oracle of the toy problem: z = 2x + y on [rows, 1024]."""

import numpy as np

COLUMNS = 1024


def input_specs(shape):
    return [((shape["rows"], COLUMNS), "float32")] * 2


def make_inputs(seed, shape, family="normal"):
    rng = np.random.default_rng(seed)
    scale = {"normal": 1.0, "large": 1e3}[family]
    return tuple((scale * rng.standard_normal((shape["rows"], COLUMNS))).astype(np.float32) for _ in range(2))


def reference(x, y):
    return (2.0 * x.astype(np.float64) + y.astype(np.float64),)


def cost(shape):
    elements = shape["rows"] * COLUMNS
    return 2 * elements, 3 * 4 * elements
