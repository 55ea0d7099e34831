"""The replay of whole programs: every variant on disk, what it catches, and what `inspect` tells."""

import functools
import itertools
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from cairn.judge.protocol import JudgeLimits
from cairn.judge.replay import Replayer, ReplayFault, Unreplayable
from cairn.worker_process import WorkerFailure
from judge.lowered import (
    KERNELS,
    QUICKLY,
    block_call,
    decoded,
    interpreted,
    load,
    lower,
    normal,
    relative_error,
    replayed,
)

TOY = Path(__file__).parents[1] / "toy"
PROBLEMS = sorted(path.parent for path in [*KERNELS.glob("*/problem.yaml"), *TOY.glob("*/problem.yaml")])
SEED = 20_240_229
MAX_OVER_RMS = 16
F32 = np.float32
X = normal(16, 128)


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        yield one


@functools.cache
def problem(folder: Path) -> dict:
    return yaml.safe_load((folder / "problem.yaml").read_text())


@functools.cache
def drawn(folder: Path, shape: tuple, family: str):
    reference = load(folder / "reference.py")
    inputs = reference.make_inputs(SEED, dict(shape), family=family)
    return inputs, reference.reference(*inputs)


def bound(folder: Path, variant: str, point: dict):
    return _bound(folder, variant, tuple(point.items()))


@functools.cache
def _bound(folder: Path, variant: str, point: tuple):
    """One function per variant and point, so that jax compiles it once for all families."""
    module = load(folder / "variants" / f"{variant}.py")
    return jax.jit(functools.partial(module.run, config=module.Config(**dict(point))), compiler_options=QUICKLY)


@functools.cache
def lowered(folder: Path, variant: str, point: tuple, shape: tuple) -> bytes:
    inputs, _ = drawn(folder, shape, problem(folder)["families"][0])
    module = load(folder / "variants" / f"{variant}.py")
    return lower(functools.partial(module.run, config=module.Config(**dict(point))), *inputs)


@functools.cache
def baseline_outputs(folder: Path, shape: tuple, family: str):
    return interpreted(bound(folder, problem(folder)["baseline"], {}), *drawn(folder, shape, family)[0])


def rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(error, dtype=np.float64))))


def assert_replay_is_right(replayer: Replayer, folder: Path, variant: str, shape: dict, family: str, point: dict):
    """The replay is within the tolerance, and as far from the truth as the interpreter is."""
    inputs, truth = drawn(folder, tuple(shape.items()), family)
    function = bound(folder, variant, point)
    key = tuple(shape.items())
    outputs = replayed(replayer, lowered(folder, variant, tuple(point.items()), key), *inputs)
    tolerance = problem(folder)["tolerance"]
    baseline = baseline_outputs(folder, key, family)
    own = interpreted(function, *inputs)
    for got, want, base, mine in zip(outputs, truth, baseline, own, strict=True):
        assert got.dtype == mine.dtype
        assert got.shape == mine.shape
        scale = rms(want)
        floor = tolerance["floor"][got.dtype.name] * scale
        allowed = max(tolerance["multiple"] * rms(base - want), floor)
        assert rms(got - want) <= allowed
        assert np.abs(got - want).max() <= max(tolerance["multiple"] * np.abs(base - want).max(), 16 * floor)
        # sums in another order move roundings to bfloat16, so two right answers differ by less than either's error
        assert rms(got.astype(np.float64) - mine) <= 0.5 * max(rms(mine - want), floor / 10)


DEAR = {"gdn_bwd"}  # the interpreter that the replay is compared with compiles for ten seconds at each shape


def where_to_look(folder: Path) -> list[tuple[dict, str]]:
    """Every family at the smallest shape, and one of them at a held-out one."""
    shapes, families = problem(folder)["shapes"], problem(folder)["families"]
    heldout = [] if folder.name in DEAR else [(shapes["heldout"][0], families[-1])]
    return [*((shapes["check"][0], family) for family in families), *heldout]


def is_judged(folder: Path, variant: str) -> bool:
    """What climbs edit and what they are held against; peers that ship with jax have roundings of their own."""
    return variant.startswith("pallas_") or variant == problem(folder)["baseline"]


VARIANTS = [
    (folder, path.stem, shape, family)
    for folder in PROBLEMS
    for path in sorted(folder.glob("variants/*.py"))
    if is_judged(folder, path.stem)
    for shape, family in where_to_look(folder)
]


def identify(value) -> str:
    if isinstance(value, Path):
        return value.name
    return "-".join(f"{k}{v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def test_problems_were_found() -> None:
    assert {"gdn", "matmul", "axpy"} <= {folder.name for folder in PROBLEMS}


@pytest.mark.parametrize(("folder", "variant", "shape", "family"), VARIANTS, ids=identify)
def test_variants_replay(folder: Path, variant: str, shape: dict, family: str, replayer: Replayer) -> None:
    assert_replay_is_right(replayer, folder, variant, shape, family, {})


def sample_of_points(folder: Path, variant: str, count: int) -> list[dict]:
    tunables = problem(folder)["tunables"][variant]
    space = [
        dict(zip(tunables["space"], values, strict=True))
        for values in itertools.product(*tunables["space"].values())
    ]
    small = problem(folder)["shapes"]["check"][0]
    points = [
        point for point in space if all(eval(rule, {}, small | point) for rule in tunables.get("constraints", ()))
    ]
    return random.Random(SEED).sample(points, min(count, len(points)))


POINTS = [
    (folder, variant, point)
    for folder in PROBLEMS
    if folder.name not in DEAR
    for variant in problem(folder)["tunables"]
    if is_judged(folder, variant)
    for point in sample_of_points(folder, variant, 1)
]


@pytest.mark.parametrize(("folder", "variant", "point"), POINTS, ids=identify)
def test_other_tunables_replay(folder: Path, variant: str, point: dict, replayer: Replayer) -> None:
    shape, family = problem(folder)["shapes"]["check"][0], problem(folder)["families"][1]
    assert_replay_is_right(replayer, folder, variant, shape, family, point)


# --- what the interpreter does not show --------------------------------------------------------------------------


def test_one_pass_of_bfloat16_shows_only_in_the_replay(replayer: Replayer) -> None:
    def kernel(a, b, out):
        out[...] = jnp.dot(a[...], b[...], preferred_element_type=F32)

    a, b = normal(128, 256), normal(256, 128)
    truth = a.astype(np.float64) @ b
    function = block_call(kernel, ((128, 128), F32))
    assert relative_error(interpreted(lambda *x: block_call(kernel, ((128, 128), F32))(*x), a, b)[0], truth) < 1e-5
    program = lower(function, a, b)
    assert 1e-3 < relative_error(replayed(replayer, program, a, b)[0], truth) < 1e-1
    (matmul,) = replayer.inspect(program).kernels[0].matmuls
    assert (matmul.precision, matmul.count, matmul.flops) == ("bf16", 1, 2 * 128 * 256 * 128)


def test_one_pass_of_bfloat16_shows_outside_of_kernels_too(replayer: Replayer) -> None:
    a, b = normal(128, 256), normal(256, 128)
    truth = a.astype(np.float64) @ b
    one_pass = lower(lambda a, b: a @ b, a, b)
    full = lower(lambda a, b: jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST), a, b)
    assert relative_error(replayed(replayer, one_pass, a, b)[0], truth) > 1e-3
    assert relative_error(replayed(replayer, full, a, b)[0], truth) < 1e-5
    assert replayer.inspect(one_pass).dots == {"f32 x f32 DEFAULT": 1}
    assert replayer.inspect(full).dots == {"f32 x f32 HIGHEST": 1}


def doubling(x, out):
    out[...] = x[...] * 2


def rowwise(kernel, steps: int, **options):
    spec = pl.BlockSpec((8, 128), lambda i: (i, 0))
    return lambda x: block_call(kernel, (x.shape, F32), grid=(steps,), in_specs=[spec], out_specs=spec, **options)(
        x
    )


def test_rows_that_no_step_writes_are_nan(replayer: Replayer) -> None:
    x = normal(32, 128)
    (got,) = replayed(replayer, lower(rowwise(doubling, 3), x), x)
    np.testing.assert_array_equal(got[:24], x[:24] * 2)
    assert np.isnan(got[24:]).all()


def test_a_step_that_writes_nothing_leaves_nan(replayer: Replayer) -> None:
    def lazy(x, out):
        @pl.when(pl.program_id(0) != 2)
        def _():
            out[...] = x[...] * 2

    x = normal(32, 128)
    (got,) = replayed(replayer, lower(rowwise(lazy, 4), x), x)
    assert np.isnan(got).all(axis=1).nonzero()[0].tolist() == list(range(16, 24))


@pytest.mark.parametrize("semantics", ["arbitrary", "parallel"])
def test_scratch_that_nobody_wrote_shows(semantics: str, replayer: Replayer) -> None:
    """Written in the first step only: enough where the steps are in order, not where they may go to two cores."""

    def accumulate(x, out, scratch):
        @pl.when(pl.program_id(0) == 0)
        def _():
            scratch[...] = jnp.zeros_like(scratch)

        scratch[...] += x[...]
        out[...] = scratch[...]

    x = normal(32, 128)
    options = {
        "scratch_shapes": [pltpu.VMEM((8, 128), F32)],
        "compiler_params": pltpu.CompilerParams(dimension_semantics=(semantics,)),
    }
    (got,) = replayed(replayer, lower(rowwise(accumulate, 4, **options), x), x)
    if semantics == "arbitrary":
        np.testing.assert_allclose(got, x.reshape(4, 8, 128).cumsum(0).reshape(32, 128), rtol=1e-5)
    else:
        assert np.isnan(got[8:]).all()
        assert np.isfinite(got[:8]).all()


def test_scratch_that_is_only_read_shows(replayer: Replayer) -> None:
    def read_first(x, out, scratch):
        out[...] = x[...] + scratch[...]

    program = lower(rowwise(read_first, 2, scratch_shapes=[pltpu.VMEM((8, 128), F32)]), X)
    assert np.isnan(replayed(replayer, program, X)[0]).all()


def test_a_block_outside_of_the_array_is_a_fault(replayer: Replayer) -> None:
    with pytest.raises(ReplayFault) as caught:
        replayed(replayer, lower(rowwise(doubling, 3), X), X)
    assert caught.value.kind == "out_of_bounds"


def two_faced(x):
    """Asks whether it is being interpreted, and answers honestly only then."""
    import jax._src.pallas.pallas_call as internals

    honest = internals.config.pallas_tpu_interpret_mode_context_manager.value is not None
    return rowwise(doubling if honest else lambda x, out: out.__setitem__(..., x[...]), 2)(x)


def test_a_variant_with_two_faces_is_exposed(replayer: Replayer) -> None:
    np.testing.assert_array_equal(interpreted(two_faced, X)[0], X * 2)
    (got,) = replayed(replayer, lower(two_faced, X), X)
    np.testing.assert_array_equal(got, X)


def test_a_patched_pallas_call_is_exposed(monkeypatch: pytest.MonkeyPatch, replayer: Replayer) -> None:
    """The interpreter gets XLA's answer, the compiler an empty kernel."""
    original, interpreting = pl.pallas_call, []

    def patched(kernel, **options):
        if interpreting:
            return lambda x: x * 2
        return original(lambda x, out: None, **options)

    monkeypatch.setattr(pl, "pallas_call", patched)
    function = rowwise(doubling, 2)
    program = lower(function, X)
    interpreting.append(True)
    np.testing.assert_array_equal(interpreted(function, X)[0], X * 2)
    assert np.isnan(replayed(replayer, program, X)[0]).all()


# --- what is refused ---------------------------------------------------------------------------------------------


def test_an_unknown_operation_is_named(replayer: Replayer) -> None:
    def random_bits(x, out):
        pltpu.prng_seed(0)
        out[...] = x[...] + pltpu.prng_random_bits((16, 128)).astype(F32)

    program = lower(block_call(random_bits, ((16, 128), F32)), X)
    with pytest.raises(Unreplayable, match=r"tpu\.prng_set_seed_32"):
        replayed(replayer, program, X)
    (kernel,) = replayer.inspect(program).kernels
    assert "tpu.prng_random_bits" in kernel.unknown_operations
    assert not kernel.replayable


def test_a_call_of_native_code_is_refused_and_reported(replayer: Replayer) -> None:
    """A hand-written callback would hand the replay an index into its own functions."""
    call = jax.ffi.ffi_call("xla_ffi_python_cpu_callback", jax.ShapeDtypeStruct(X.shape, F32))
    program = lower(lambda x: call(x, index=np.uint64(0)), X)
    with pytest.raises(Unreplayable, match="xla_ffi_python_cpu_callback"):
        replayed(replayer, program, X)
    facts = replayer.inspect(program)
    assert facts.host_callbacks == ("xla_ffi_python_cpu_callback",)
    assert facts.unexpected_calls == ("xla_ffi_python_cpu_callback",)


def test_what_is_no_program_is_a_failure_not_an_answer(replayer: Replayer) -> None:
    with pytest.raises(WorkerFailure):
        replayed(replayer, b"not a program", X)
    starts = replayer.starts
    program = lower(rowwise(doubling, 2), X)
    np.testing.assert_array_equal(replayed(replayer, program, X)[0], X * 2)
    assert replayer.starts <= starts + 1


def test_a_loop_without_end_is_ended_and_the_next_program_is_served() -> None:
    def endless(x, out):
        out[...] = jax.lax.while_loop(lambda value: value[0, 0] == value[0, 0], lambda value: value, x[...])

    with Replayer(Path(sys.executable), JudgeLimits()) as one:
        program = lower(block_call(endless, ((16, 128), F32)), X)
        with pytest.raises(WorkerFailure, match="timeout"):
            one.run(program, specs_of([X]), [X.tobytes()], timeout_s=5.0)
        np.testing.assert_array_equal(replayed(one, lower(rowwise(doubling, 2), X), X)[0], X * 2)
        assert one.starts == 2


# --- a sample of a large program ---------------------------------------------------------------------------------


def specs_of(inputs) -> list[dict]:
    return [{"dtype": x.dtype.name, "shape": list(x.shape)} for x in inputs]


def test_a_sample_covers_whole_cells_and_equals_the_full_run(replayer: Replayer) -> None:
    folder, shape = KERNELS / "gdn", {"B": 3, "T": 128, "H": 8, "K": 128, "V": 128}
    inputs, _ = drawn(folder, tuple(shape.items()), "normal")
    program = lowered(folder, "pallas_fwd", (), tuple(shape.items()))
    full = replayed(replayer, program, *inputs)
    sample = replayer.run_sample(program, specs_of(inputs), [x.tobytes() for x in inputs], cells=2, seed=1)
    sequences = np.flatnonzero(sample.covered[0].any(axis=(1, 2, 3)))  # a cell is eight heads of one sequence
    assert len(sequences) == 2
    for output, covered, want in zip(sample.outputs, sample.covered, full, strict=True):
        assert covered.mean() == pytest.approx(2 / 3)
        np.testing.assert_array_equal(decoded(output)[covered], want[covered])
        assert np.isnan(decoded(output)[~covered].astype(F32)).all()


def test_a_kernel_that_writes_nothing_is_not_mistaken_for_an_uncovered_one(replayer: Replayer) -> None:
    options = {"compiler_params": pltpu.CompilerParams(dimension_semantics=("parallel",))}
    program = lower(rowwise(lambda x, out: None, 2, **options), X)
    sample = replayer.run_sample(program, specs_of([X]), [X.tobytes()], cells=1, seed=0)
    assert sample.covered[0].mean() == 0.5
    output = decoded(sample.outputs[0])
    assert np.isnan(output[~sample.covered[0]]).all()
    assert (output[sample.covered[0]] >= 100).all()  # what was in memory before


def test_what_cannot_be_sampled_is_run_in_full(replayer: Replayer) -> None:
    program = lower(lambda x: x * 2, X)
    sample = replayer.run_sample(program, specs_of([X]), [X.tobytes()], cells=1, seed=0)
    assert sample.covered[0].all()
    np.testing.assert_array_equal(decoded(sample.outputs[0]), X * 2)


def test_xla_leaves_out_no_rounding_that_the_program_asks_for(replayer: Replayer) -> None:
    x, y = normal(16, 128, dtype=jnp.bfloat16), normal(16, 128, dtype=jnp.bfloat16, seed=1)
    program = lower(lambda a, b: (a + b).astype(jnp.float32) * 3.0, x, y)
    (got,) = replayed(replayer, program, x, y)
    np.testing.assert_array_equal(got, (x + y).astype(np.float32) * np.float32(3))
