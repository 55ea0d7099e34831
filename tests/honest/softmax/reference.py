"""Softmax over the last axis."""

import numpy as np


def input_specs(shape):
    return [((shape["rows"], shape["columns"]), "float32")]


def make_inputs(seed, shape, family="normal"):
    rng = np.random.default_rng(seed)
    size = (shape["rows"], shape["columns"])
    drawn = {
        "normal": lambda: rng.standard_normal(size),
        "heavy": lambda: rng.standard_t(2, size),
        "constant": lambda: np.full(size, rng.standard_normal()),
    }[family]()
    return (drawn.astype(np.float32),)


def reference(x):
    wide = x.astype(np.float64)
    e = np.exp(wide - wide.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True),)


def cost(shape):
    elements = shape["rows"] * shape["columns"]
    return 4 * elements, 8 * elements


def properties(inputs, outputs):
    return {"rows_sum_to_one": bool(np.allclose(outputs[0].astype(np.float64).sum(axis=1), 1, atol=1e-4))}
