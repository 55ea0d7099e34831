"""Sums of each column and of its squares; the outputs reach 1e9."""

import numpy as np


def input_specs(shape):
    return [((shape["rows"], shape["columns"]), "float32")]


def make_inputs(seed, shape, family="positive"):
    rng = np.random.default_rng(seed)
    size = (shape["rows"], shape["columns"])
    drawn = {
        "positive": lambda: 1e3 * rng.random(size),
        "heavy": lambda: abs(rng.standard_t(3, size)),
        "tiny": lambda: 1e-3 * rng.random(size),
    }[family]()
    return (drawn.astype(np.float32),)


def reference(x):
    wide = x.astype(np.float64)
    return wide.sum(axis=0), (wide**2).sum(axis=0)


def cost(shape):
    elements = shape["rows"] * shape["columns"]
    return 3 * elements, 4 * elements
