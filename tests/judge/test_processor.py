"""Kernels for a TPU on a processor: what Pallas' interpreter can carry out is right, and the rest accuses nobody."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # an installed libtpu would look for a TPU first

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from cairn.judge.asking import asked_again
from cairn.judge.audit import audit
from cairn.judge.correctness import decode
from cairn.judge.executors import DeviceExecutor
from cairn.judge.protocol import JudgeLimits, VariantSource
from cairn.judge.referee import Judge
from cairn.judge.replay import Replayer
from cairn.problem import load_problem
from cairn.roofline import parse_target
from cairn.worker_process import WorkerFailure

PYTHON = Path(sys.executable)
NORM = Path(__file__).parents[1] / "honest" / "norm"
KERNEL = """
import dataclasses

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def normed(x, weight):
    wide = x.astype(jnp.float32)
    return wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=1, keepdims=True) + 1e-12) * weight.astype(jnp.float32)

"""
CORE_MAP = """
def run(x, weight, *, config):
    @pl.run_state
    def state(refs):
        x, weight, y = refs

        @pl.core_map(pltpu.create_tensorcore_mesh("core", num_cores=1))
        def _():
            def inside(rows, weights):
                pltpu.sync_copy(x, rows)
                pltpu.sync_copy(weight, weights)
                rows[...] = normed(rows[...], weights[...]).astype(rows.dtype)
                pltpu.sync_copy(rows, y)

            pl.run_scoped(inside, pltpu.VMEM(x.shape, x.dtype), pltpu.VMEM(weight.shape, weight.dtype))

    return state((x, weight[None], jnp.zeros_like(x)))[2]
"""
RANDOM = """
def kernel(x, weight, y):
    pltpu.prng_seed(0)
    noise = (pltpu.prng_random_bits(x.shape) & 1).astype(jnp.float32)
    y[...] = (normed(x[...], weight[...]) + 0.0 * noise).astype(y.dtype)


def run(x, weight, *, config):
    return pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype))(x, weight[None])
"""


TAKEN_OVER = """
def kernel(x, weight, spare, y, rows, weights):
    pltpu.sync_copy(x, rows)
    pltpu.sync_copy(weight, weights)
    rows[...] = normed(rows[...], weights[...]).astype(rows.dtype)
    pltpu.sync_copy(rows, spare)


def run(x, weight, *, config):
    anywhere = pl.BlockSpec(memory_space=pl.ANY)
    return pl.pallas_call(
        kernel,
        in_specs=[anywhere] * 3,
        out_specs=anywhere,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype),
        scratch_shapes=[pltpu.VMEM(x.shape, x.dtype), pltpu.VMEM((1, x.shape[1]), x.dtype)],
        input_output_aliases={2: 0},
    )(x, weight[None], jnp.zeros_like(x))
"""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Of a problem that is quick to ask about: one shape, one family, none of the judge's own."""
    folder = tmp_path_factory.mktemp("quick") / NORM.name
    shutil.copytree(NORM, folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "problem.yaml").read_text(encoding="utf-8")
    text = re.sub(r"check: .*", "check: [{rows: 16, columns: 256}]", text)
    (folder / "problem.yaml").write_text(re.sub(r"families: .*", "families: [normal]", text), encoding="utf-8")
    with (folder / "reference.py").open("a") as reference:
        reference.write('\n\ndef input_domains(shape):\n    return ["as drawn"] * 2\n')
    with Judge(load_problem(folder), parse_target("cpu:device"), python=PYTHON) as judge:
        yield judge


@pytest.mark.timeout(240)
def test_a_pipeline_inside_a_kernel_is_carried_out(judge: Judge) -> None:
    """It asks jax for its chip, and there is none; it also says how its rows shall lie, which jax promises nobody."""
    case = judge.check(VariantSource.read(NORM / "variants" / "inner_pipeline.py"))
    assert case.ruling is None, case.ruling


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("body", "named"), [(CORE_MAP, "core_map"), (RANDOM, "prng_seed"), (TAKEN_OVER, "takes over")]
)
def test_what_a_processor_cannot_carry_out_accuses_nobody(judge: Judge, body: str, named: str) -> None:
    case = judge.check(VariantSource("mine", (KERNEL + body).encode()))
    assert case.ruling is not None
    assert (case.verdict.value, case.ruling.reason) == ("INCONCLUSIVE", "unreplayable"), case.ruling
    assert named in case.ruling.detail


def test_apart_each_operation_is_rounded_as_it_says() -> None:
    """The largest of huge logits less itself is zero; a product that is added in the same step leaves its rounding."""

    def weights(q: jax.Array, keys: jax.Array) -> tuple[jax.Array]:
        scaled = (q @ keys.T) * 0.1275
        return (jnp.exp2(scaled - scaled.max(axis=1, keepdims=True)),)

    spec = jax.ShapeDtypeStruct((8, 128), jnp.float32)
    program = bytes(export.export(jax.jit(weights), platforms=["cpu"])(spec, spec).serialize())
    rng = np.random.default_rng(0)
    blobs = [(1e8 * rng.standard_normal((8, 128))).astype(np.float32).tobytes() for _ in range(2)]
    executor = DeviceExecutor(PYTHON, "cpu", JudgeLimits())
    try:
        outputs = executor.run_apart(program, [{"shape": [8, 128], "dtype": "float32"}] * 2, blobs)
    finally:
        executor.close()
    assert isinstance(outputs, list), outputs
    np.testing.assert_array_equal(decode(outputs[0]).max(axis=1), np.ones(8))


@pytest.mark.parametrize(
    ("said", "asked"), [("INTERNAL: YNNPACK operation failed", 2), ("INVALID_ARGUMENT: no such shape", 1)]
)
def test_what_xla_fails_at_by_itself_is_asked_once_more(said: str, asked: int) -> None:
    """In a fresh process, and not a third time."""
    made: list[str] = []

    def ask() -> None:
        made.append("asked")
        raise WorkerFailure("raised", f"JaxRuntimeError: {said}", {"type": "JaxRuntimeError", "message": said})

    with pytest.raises(WorkerFailure):
        asked_again(ask, lambda: made.append("renewed"))
    assert made == ["asked", "renewed", "asked"][: 2 * asked - 1]


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
def test_a_layout_is_asked_for_the_array_that_is_there(platform: str) -> None:
    """The call is the identity; one that claims to turn an array into another is none of jax's."""
    named = export.DisabledSafetyCheck.custom_call("LayoutConstraint")
    found = []
    with Replayer(PYTHON, JudgeLimits()) as replayer:
        for rows in (8, 4):
            call = jax.ffi.ffi_call("LayoutConstraint", jax.ShapeDtypeStruct((rows, 128), jnp.float32))
            exported = export.export(
                jax.jit(lambda x, call=call: (call(x),)), platforms=[platform], disabled_checks=[named]
            )
            program = exported(jax.ShapeDtypeStruct((8, 128), jnp.float32)).serialize()
            found.append(audit(replayer.inspect(bytes(program), platform), (), platform))
    assert found[0] is None
    assert found[1] is not None
    assert found[1].reason == "unexpected_call"
