"""The discrete Fourier transform of each row, whose matrices every kernel has to carry or to compute."""

import numpy as np


def input_specs(shape):
    return [((shape["rows"], shape["columns"]), "float32")]


def make_inputs(seed, shape, family="normal"):
    rng = np.random.default_rng(seed)
    rows, columns = shape["rows"], shape["columns"]
    x = rng.standard_normal((rows, columns))
    if family == "tones":
        turns = rng.integers(1, columns // 2, (rows, 1)) * np.arange(columns) / columns
        x = np.cos(2 * np.pi * turns) + 1e-2 * x
    return (x.astype(np.float32),)


def reference(x):
    spectrum = np.fft.fft(x.astype(np.float64), axis=1)
    return spectrum.real, spectrum.imag


def cost(shape):
    elements = shape["rows"] * shape["columns"]
    return 4 * elements, 12 * elements
