"""Large shapes looked at in part: which axes are independent, and that a program cannot see beyond a part."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from cairn.judge.baseline import Baseline
from cairn.judge.correctness import Wire
from cairn.judge.draws import BenchDraws
from cairn.judge.executors import ReplayExecutor
from cairn.judge.programs import Programs
from cairn.judge.protocol import JudgeLimits, Oracle, Runner, VariantSource
from cairn.judge.replay import Cover, NotLocal, Replayer, Spread
from cairn.judge.slices import Axis, Part, independent_axes, part_at
from cairn.lab.cache import Cache
from cairn.problem import load_problem
from judge.lowered import decoded, lower, normal, replayed
from workspace import TOY

ROOT = Path(__file__).resolve().parents[2]
PYTHON = Path(sys.executable)
X = normal(64, 128)
ROWS = Part({"R": 16}, ((Axis("R", (0,), (0,)), np.arange(16, 32)),))
HEAD = "import dataclasses, time\n@dataclasses.dataclass(frozen=True)\nclass Config:\n    pass\n"


@pytest.fixture(scope="module")
def replayer() -> Iterator[Replayer]:
    with Replayer(PYTHON, JudgeLimits()) as one:
        yield one


def in_rows(kernel, index_map=lambda i: (i, 0)):
    """A kernel over four blocks of sixteen rows, each of which the chip may give to another core."""
    return pl.pallas_call(
        kernel,
        grid=(4,),
        in_specs=[pl.BlockSpec((16, 128), index_map)],
        out_specs=pl.BlockSpec((16, 128), lambda i: (i, 0)),
        out_shape=jax.ShapeDtypeStruct((64, 128), np.float32),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
    )


def double(x, out):
    out[...] = x[...] * 2


def of_rows(replayer: Replayer, program: bytes, part: Part, seed: int = 3) -> list[Wire]:
    specs = [{"dtype": "float32", "shape": [64, 128]}]
    return replayer.run_part(program, *part.inputs(specs, [X.tobytes()]), part.spread(1, 1), 1, seed)


def last_block(replayer: Replayer, program: bytes) -> tuple[Part, Cover]:
    cover = replayer.cover(program, 1, 3, [(64, (0,))])
    return part_at([Axis("R", (0,), (0,))], {"R": 64}, cover.held), cover


def moved_about(x):
    return (in_rows(double)(x.T.T + 1.0) - 1.0).reshape(64, 128)


@jax.jit
def in_functions(x):
    """jax lowers a jitted function, and `pad` itself, to functions of their own."""
    return jax.jit(in_rows(double))(jnp.pad(jnp.pad(x[:60], ((0, 4), (0, 0))), ((0, 0), (0, 0))))


@pytest.mark.parametrize("function", [moved_about, in_functions])
def test_a_part_gives_what_the_whole_gives(function, replayer: Replayer) -> None:
    program = lower(function, X)
    part, cover = last_block(replayer, program)
    assert part.shape == {"R": 16}
    assert cover.share == 0.25
    assert cover.masks[0].all()
    (got,) = of_rows(replayer, program, part)
    (want,) = replayed(replayer, program, X)
    np.testing.assert_array_equal(decoded(got), want[48:])


def neighbour(i):
    return (i + 1) % 4, 0


def test_a_step_that_looks_elsewhere_is_given_whole_inputs(replayer: Replayer) -> None:
    program = lower(in_rows(double, neighbour), X)
    part, _ = last_block(replayer, program)
    with pytest.raises(NotLocal, match="beyond the part"):
        of_rows(replayer, program, part)


def every_row_beside(x):
    """A step sees its own rows and, in a second window, all of them."""

    def kernel(every, x, out):
        out[...] = jnp.where(every[0, 0] == 0.0, 0.0, x[...])

    return pl.pallas_call(
        kernel,
        grid=(4,),
        in_specs=[pl.BlockSpec((64, 128), lambda i: (0, 0)), pl.BlockSpec((16, 128), lambda i: (i, 0))],
        out_specs=pl.BlockSpec((16, 128), lambda i: (i, 0)),
        out_shape=jax.ShapeDtypeStruct((64, 128), np.float32),
        compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel",)),
    )(x, x)


def told_of_gaps(x):
    """Asks every element whether it is zero, as one that was not drawn would be, and tells each row of all others."""
    return in_rows(double)(jnp.broadcast_to((x == 0.0).astype(jnp.float32).sum(), x.shape) + x)


@pytest.mark.parametrize("function", [every_row_beside, told_of_gaps, lambda x: in_rows(double)(jnp.flip(x, 0))])
def test_who_could_find_out_what_was_not_drawn_is_given_whole_inputs(function, replayer: Replayer) -> None:
    program = lower(function, X)
    with pytest.raises(NotLocal):
        of_rows(replayer, program, Part({"R": 16}, ((Axis("R", (0,), (0,)), np.arange(48, 64)),)))


@pytest.mark.parametrize("function", [lambda x: x * 2, lambda x: in_rows(double)(in_rows(double)(x))])
def test_only_one_kernel_is_followed(function, replayer: Replayer) -> None:
    with pytest.raises(NotLocal):
        replayer.cover(lower(function, X), 1, 0, [])


def test_what_a_part_does_not_name_is_whole() -> None:
    part = Part({"R": 2, "C": 3}, ((Axis("R", (0, None), (0,)), np.array([1, 4])),))
    assert part.spread(2, 1) == Spread([[(0, [1, 4])], []], [[(0, [1, 4])]])
    table, row = np.arange(15.0).reshape(5, 3), np.arange(3.0)
    specs = [{"dtype": "float64", "shape": [5, 3]}, {"dtype": "float64", "shape": [3]}]
    cut, blobs = part.inputs(specs, [table.tobytes(), row.tobytes()])
    assert [spec["shape"] for spec in cut] == [[2, 3], [3]]
    assert blobs == [table[[1, 4]].tobytes(), row.tobytes()]
    assert part.share_of({"R": 5, "C": 3}) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("name", "independent"),
    [("gdn", {"B", "H", "V"}), ("matmul", {"M", "N"}), ("flash_attention", {"B"})],
)
def test_the_reference_tells_which_axes_are_independent(name: str, independent: set[str], tmp_path: Path) -> None:
    problem, cache = load_problem(ROOT / "kernels" / name), Cache(tmp_path)
    oracle = Oracle(problem, PYTHON)
    try:
        found = independent_axes(oracle, problem, cache)
    finally:
        oracle.close()
    assert {axis.key for axis in found} == independent
    assert independent_axes(oracle, problem, cache) == found  # from the disk: the oracle has ended


def test_draws_that_nobody_wants_end_and_the_next_are_made() -> None:
    problem = load_problem(TOY)
    draws = BenchDraws(problem, PYTHON, None)
    try:
        for _ in range(3):
            draws.begin(problem.shapes.bench[0], truth=False)
        draws.abandon()
        drawn = draws.begin(problem.shapes.check[0], truth=True).result()
        assert drawn.truth is not None
    finally:
        draws.close()


def test_lowering_ahead_gives_the_same_programs_and_ends_when_it_is_abandoned() -> None:
    problem = load_problem(TOY)
    shapes = [*problem.shapes.bench, *problem.shapes.check]
    oracle = Oracle(problem, PYTHON)
    programs = Programs(oracle, lambda: Runner(PYTHON, JudgeLimits()), "tpu")
    variant = VariantSource.read(problem.variant(problem.start))
    try:
        with Runner(PYTHON, JudgeLimits()) as runner:
            runner.load(variant)
            programs.ahead(variant, runner, shapes)
            ahead = [programs.lower(variant, runner, shape) for shape in shapes]
            assert ahead == [runner.export(programs.specs(shape)) for shape in shapes]
        slow = VariantSource("slow", f"{HEAD}def run(*inputs, config):\n    time.sleep(1000)\n".encode())
        with Runner(PYTHON, JudgeLimits()) as runner:
            runner.load(slow)
            programs.ahead(slow, runner, shapes)
            time.sleep(1)
            programs.abandon(runner)
            assert not runner.alive
    finally:
        programs.close()
        oracle.close()


def test_the_baseline_works_beside_and_ends_while_it_works() -> None:
    problem = load_problem(TOY)
    oracle = Oracle(problem, PYTHON)
    programs = Programs(oracle, lambda: Runner(PYTHON, JudgeLimits()), "tpu")
    baseline = Baseline(problem, programs, ReplayExecutor(PYTHON, JudgeLimits()))
    try:
        shape = problem.shapes.check[0]
        draw = oracle.draw(1, shape, problem.families[0])
        asked = baseline.begin(shape, draw.specs, draw.blobs)
        assert len(asked.outputs()) == len(problem.outputs)
        baseline.begin(shape, draw.specs, draw.blobs)
    finally:
        baseline.close()
        programs.close()
        oracle.close()
