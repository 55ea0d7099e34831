"""One suite for every problem and variant found on disk; adding a kernel adds its tests.

Variants run in Pallas's interpreter on small shapes, against the float64 oracle and within the problem's
tolerance. Kernels that ship with jax (`jax_*`) are peers to be compared with: they get one shape and some slack, and
no tuning. The last tests hand our own kernels to the real TPU compiler. Nothing here measures speed.
"""

import dataclasses
import fnmatch
import functools
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from interpreted import KERNELS, interpret, load, truth

from cairn.problem import load_problem

COMPILE_SCRIPT = Path(__file__).with_name("compile_for_tpu.py")
PROBLEMS = sorted(path.parent.name for path in KERNELS.glob("*/problem.yaml"))
VARIANTS = [(name, path.stem) for name in PROBLEMS for path in sorted((KERNELS / name).glob("variants/*.py"))]
SEED = 20_240_229
MAX_OVER_RMS = 16  # the largest of 10^5..10^6 errors lies 10 to 15 times above their root mean square
POINTS_PER_VARIANT = 3
PEER_SLACK = 3  # splash and paged attention take scaled queries, which bfloat16 rounds once more


@functools.cache
def problem(name: str) -> dict:
    return yaml.safe_load((KERNELS / name / "problem.yaml").read_text())


@functools.cache
def oracle(name: str, shape: tuple, family: str):
    """Inputs, float64 outputs and each output's limits (rms, max), for one shape and family."""
    reference = truth(name)
    inputs = reference.make_inputs(SEED, dict(shape), family)
    want = reference.reference(*inputs)
    tolerance = load_problem(KERNELS / name).tolerance
    limits = []
    baseline = interpret(name, problem(name)["baseline"], inputs)
    for got, exact, dtype in zip(baseline, want, problem(name)["outputs"].values(), strict=True):
        floor = tolerance.floor_of(dtype)
        rms, worst = (tolerance.multiple * error for error in errors(got, exact))
        limits.append((max(rms, floor), max(worst, MAX_OVER_RMS * floor)))
    return inputs, want, limits


def errors(got: np.ndarray, want: np.ndarray) -> tuple[float, float]:
    """Root mean square and largest error, both over the root mean square of the truth."""
    error, scale = got.astype(np.float64) - want, np.sqrt(np.mean(want**2))
    return float(np.sqrt(np.mean(error**2)) / scale), float(np.abs(error).max() / scale)


def within(got: np.ndarray, want: np.ndarray, limit: tuple[float, float]) -> bool:
    rms, worst = errors(got, want)
    return rms <= limit[0] and worst <= limit[1]  # False for NaN


def assert_correct(name: str, variant: str, shape: dict, family: str, point: tuple = ()) -> None:
    inputs, want, limits = oracle(name, tuple(shape.items()), family)
    outputs = interpret(name, variant, inputs, point)
    assert [out.dtype.name for out in outputs] == list(problem(name)["outputs"].values())
    slack = PEER_SLACK if variant.startswith("jax_") else 1
    for output, got, exact, (rms, worst) in zip(problem(name)["outputs"], outputs, want, limits, strict=True):
        assert got.shape == exact.shape, output
        limit = (slack * rms, slack * worst)
        assert within(got, exact, limit), f"{output}: {errors(got, exact)} over {limit}"
    properties = getattr(truth(name), "properties", None)
    assert properties is None or all(properties(inputs, outputs).values())


def allowed_points(name: str, variant: str) -> list[dict]:
    tunables, shape = problem(name)["tunables"][variant], problem(name)["shapes"]["bench"][0]
    space = [
        dict(zip(tunables["space"], values, strict=True))
        for values in itertools.product(*tunables["space"].values())
    ]
    return [
        point
        for point in space
        if all(eval(rule, {}, {**shape, **point}) for rule in tunables.get("constraints", []))
    ]


def checked_shapes(name: str, variant: str) -> list[dict]:
    shapes = problem(name)["shapes"]
    return shapes["check"][:1] if variant.startswith("jax_") else shapes["check"] + shapes["heldout"]


CASES = [
    (name, variant, shape, family)
    for name, variant in VARIANTS
    for shape in checked_shapes(name, variant)
    for family in problem(name)["families"]
]
OURS = [(name, each) for name, each in VARIANTS if each.startswith("pallas_") or each == problem(name)["start"]]
TUNED = [(name, variant) for name, variant in OURS if variant in problem(name).get("tunables", {})]


def identify(value) -> str:
    return "-".join(f"{k}{v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def test_something_was_found():
    assert {"flash_attention", "gdn", "gdn_decode", "grouped_matmul", "matmul", "paged_attention"} <= set(PROBLEMS)
    for name in PROBLEMS:
        variants = {variant for found, variant in VARIANTS if found == name}
        assert {problem(name)["baseline"], problem(name)["start"]} <= variants
        assert problem(name)["name"] == name
    assert CASES
    assert TUNED


@pytest.mark.parametrize(("name", "variant", "shape", "family"), CASES, ids=identify)
def test_variant_matches_the_oracle(name, variant, shape, family):
    assert_correct(name, variant, shape, family)


@pytest.mark.parametrize(("name", "variant"), TUNED)
def test_tunables_are_fields_and_the_default_is_one_of_the_points(name, variant):
    config = load(f"{name}/variants/{variant}.py").Config()
    points = allowed_points(name, variant)
    assert {key: dataclasses.asdict(config)[key] for key in points[0]} in points
    assert POINTS_PER_VARIANT <= len(points) <= 150


@pytest.mark.parametrize("name", PROBLEMS)
def test_only_our_kernels_may_be_climbed(name):
    """Baseline and peers are what a kernel is compared with, so no climb may change them."""
    patterns = problem(name)["editable"]
    for found, variant in VARIANTS:
        if found == name and variant.startswith("jax_"):
            assert not any(fnmatch.fnmatch(f"variants/{variant}.py", pattern) for pattern in patterns)


@pytest.mark.parametrize(("name", "variant"), TUNED)
def test_other_points_match_the_oracle(name, variant):
    """A fixed random sample; every shape that is checked must accept every allowed point."""
    shapes = problem(name)["shapes"]["check"]
    sample = random.Random(SEED).sample(allowed_points(name, variant), POINTS_PER_VARIANT)
    for point, shape in zip(sample, itertools.cycle(shapes), strict=False):
        assert_correct(name, variant, shape, problem(name)["families"][-1], tuple(point.items()))


@pytest.mark.parametrize("name", PROBLEMS)
def test_input_specs_describe_the_inputs(name):
    reference = truth(name)
    for shape in problem(name)["shapes"]["check"]:
        inputs = reference.make_inputs(SEED, shape)
        assert tuple((x.shape, x.dtype.name) for x in inputs) == tuple(reference.input_specs(shape))
        if not hasattr(reference, "priced_with"):  # there the lengths say how much of an input counts
            assert sum(x.nbytes for x in inputs) < reference.cost(shape)[1]


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_priced_is_an_input_that_could_be_drawn(name):
    """Values that a price is asked for have the shape and type of their input; only whole numbers decide walks."""
    reference = truth(name)
    for shape in problem(name)["shapes"]["bench"]:
        for place, values in getattr(reference, "priced_with", lambda shape: {})(shape).items():
            assert (values.shape, values.dtype.name) == reference.input_specs(shape)[place]
            assert np.issubdtype(values.dtype, np.integer)


@pytest.mark.parametrize("name", PROBLEMS)
def test_tolerance_rejects_planted_faults(name):
    shape, family = problem(name)["shapes"]["check"][0], problem(name)["families"][0]
    _, want, limits = oracle(name, tuple(shape.items()), family)
    for exact, limit in zip(want, limits, strict=True):
        one_wrong = exact.copy()
        one_wrong.flat[-1] += 2 * limit[1] * np.sqrt(np.mean(exact**2))
        for fault in (
            exact * 1.02,
            np.zeros_like(exact),
            np.full_like(exact, np.nan),
            np.roll(exact, 1, min(1, exact.ndim - 1)),
            one_wrong,
        ):
            assert not within(fault, exact, limit)
        assert within(exact, exact, limit)


@pytest.mark.tpu_compiler
@pytest.mark.parametrize(("name", "variant"), OURS)
def test_variant_compiles_for_a_tpu(name, variant):
    pytest.importorskip("libtpu", reason="needs the TPU compiler (not a TPU)")
    specs = json.dumps(truth(name).input_specs(problem(name)["shapes"]["bench"][0]))
    path = KERNELS / name / "variants" / f"{variant}.py"
    command = [sys.executable, str(COMPILE_SCRIPT), str(path), specs, "v5p:2x2x1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "compiled"
