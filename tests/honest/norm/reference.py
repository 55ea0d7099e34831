"""Each row over its root mean square, times a weight."""

import ml_dtypes
import numpy as np


def input_specs(shape):
    return [((shape["rows"], shape["columns"]), "bfloat16"), ((shape["columns"],), "bfloat16")]


def make_inputs(seed, shape, family="normal"):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((shape["rows"], shape["columns"]))
    if family == "outliers":
        x *= np.where(rng.random(x.shape) < 0.01, 1e3, 1.0)
    if family == "tiny":
        x *= 1e-3
    weight = 1 + 0.1 * rng.standard_normal(shape["columns"])
    return x.astype(ml_dtypes.bfloat16), weight.astype(ml_dtypes.bfloat16)


def reference(x, weight):
    wide = x.astype(np.float64)
    scale = 1 / np.sqrt((wide**2).mean(axis=1, keepdims=True) + 1e-12)
    return (wide * scale * weight.astype(np.float64),)


def cost(shape):
    elements = shape["rows"] * shape["columns"]
    return 4 * elements, 4 * elements
