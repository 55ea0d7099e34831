"""What XLA for the CPU makes of the baseline's programs is kept, and only that."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl

from cairn.judge.baseline_executor import BaselineExecutor
from cairn.judge.correctness import Wire, decode
from cairn.judge.protocol import JudgeLimits
from cairn.lab.cache import Cache
from judge.lowered import lower, normal

X = normal(16, 128)
SPECS, BLOBS = [{"dtype": "float32", "shape": [16, 128]}], [X.tobytes()]


def answer(cache: Cache, program: bytes) -> list[Wire]:
    """Of a process that was started for it."""
    executor = BaselineExecutor(Path(sys.executable), JudgeLimits(), cache)
    try:
        outputs = executor.run(program, SPECS, BLOBS)
    finally:
        executor.close()
    assert isinstance(outputs, list)
    return outputs


def test_another_process_loads_what_one_has_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    program, other = (lower(lambda x, k=k: jnp.tanh(x) * k, X) for k in (2.0, 3.0))
    first = answer(cache, program)
    assert len(list(tmp_path.rglob("*.entry"))) == 1
    (made,) = (path.read_bytes() for path in tmp_path.rglob("*.entry"))
    assert answer(cache, program) == first
    # that the kept one is what runs: under another program's key it answers in its place
    monkeypatch.setattr(cache, "get", lambda key: made[36:])
    assert answer(cache, other) == first


def test_what_does_not_fit_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    monkeypatch.setattr(cache, "get", lambda key: b"of another version")
    (output,) = answer(cache, lower(lambda x: 2 * x, X))
    np.testing.assert_array_equal(decode(output), 2 * X)


def test_a_program_with_a_kernel_is_not_kept(tmp_path: Path) -> None:
    def kernel(x_ref, z_ref):
        z_ref[...] = 2 * x_ref[...]

    def run(x):
        return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))(x)

    (output,) = answer(Cache(tmp_path), lower(run, X))
    np.testing.assert_array_equal(decode(output), 2 * X)
    assert not list(tmp_path.rglob("*.entry"))
