"""The judge's own input families: within what a problem promises, and beyond what its author thought of."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cairn.errors import BadInput
from cairn.judge import correctness
from cairn.judge.conditioning import as_conditioned
from cairn.judge.correctness import Wire, decode
from cairn.judge.protocol import Draw, Oracle, VariantSource
from cairn.judge.referee import Judge
from cairn.problem import Tolerance, load_problem
from cairn.roofline import parse_target

PYTHON = Path(sys.executable)
FORGETFUL = Path(__file__).parents[1] / "honest" / "softmax"
YAML = """
name: gated
baseline: xla
outputs: {y: float32}
shapes: {check: [{rows: 16, columns: 256}], bench: [{rows: 16, columns: 256}]}
families: [normal, strong]
"""
REFERENCE = """
import numpy as np


def make_inputs(seed, shape, family="normal"):
    rng = np.random.default_rng(seed)
    size = (shape["rows"], shape["columns"])
    keys = rng.standard_normal(size)
    decay = -np.exp(rng.uniform(-5, 2 if family == "strong" else 0, size))
    strength = rng.uniform(0, 1, size)
    mask = (rng.random(size) < 0.5).astype(np.float32)
    places = rng.integers(0, 256, shape["rows"])
    weight = 1 + 0.1 * rng.uniform(-1, 1, shape["columns"])
    unit = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    floats = [array.astype(np.float32) for array in (unit, decay, strength, weight, rng.standard_normal(size))]
    return *floats, mask, places


def reference(unit, decay, strength, weight, value, mask, places):
    return ((unit * np.exp(decay) * strength * weight * mask).astype(np.float64) + value.astype(np.float64),)


def cost(shape):
    return 1, 1
"""


def problem_in(folder: Path, reference: str = REFERENCE) -> Path:
    made = folder / "gated"
    (made / "variants").mkdir(parents=True)
    (made / "variants" / "xla.py").write_text("")
    (made / "problem.yaml").write_text(YAML)
    (made / "reference.py").write_text(reference)
    return made


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Oracle]:
    made = Oracle(load_problem(problem_in(tmp_path)), PYTHON)
    yield made
    made.close()


def arrays(draw: Draw) -> list[np.ndarray]:
    return [
        decode(Wire(spec["dtype"], tuple(spec["shape"]), blob))
        for spec, blob in zip(draw.specs, draw.blobs, strict=True)
    ]


def test_every_family_stays_within_what_the_problems_own_draws_show(oracle: Oracle) -> None:
    shape = {"rows": 16, "columns": 256}
    families = oracle.domains(shape).families
    assert "judge:normal" not in families  # the problem has one of its own
    kinds = ("heavy_tailed", "correlated", "constant", "one_hot", "blocks", "small", "large", "scales")
    assert set(families) == {f"judge:{kind}" for kind in kinds}
    usual = arrays(oracle.draw(7, shape, "normal"))
    for family in families:
        draw = oracle.draw(7, shape, family)
        unit, decay, strength, weight, value, mask, places = arrays(draw)
        assert [spec["dtype"] for spec in draw.specs] == ["float32"] * 6 + ["int64"]
        assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
        assert decay.max() <= 0
        assert decay.min() >= -np.exp(2)
        assert strength.min() >= 0
        assert strength.max() <= 1
        assert weight.min() > 0.8
        assert weight.max() < 1.2
        assert np.array_equal(mask, usual[5])
        assert np.array_equal(places, usual[6])
        assert not np.array_equal(value, usual[4]), family


def test_families_are_what_they_are_called(oracle: Oracle) -> None:
    shape = {"rows": 16, "columns": 256}
    value = {kind: arrays(oracle.draw(3, shape, f"judge:{kind}"))[4] for kind in ("constant", "one_hot", "blocks")}
    assert len(np.unique(value["constant"])) == 1
    assert ((value["one_hot"] != 0).sum(axis=1) == 1).all()
    tiles = value["blocks"].reshape(2, 8, 2, 128).swapaxes(1, 2).reshape(4, -1)
    assert (tiles == tiles[:, :1]).all()
    assert len(np.unique(tiles[:, 0])) == 4
    size = {
        kind: np.abs(arrays(oracle.draw(3, shape, f"judge:{kind}"))[4]) for kind in ("small", "large", "scales")
    }
    assert size["small"].max() < 0.01
    assert size["large"].max() > 1000
    rows = np.sqrt((size["scales"] ** 2).mean(axis=1))
    assert rows.max() / rows.min() > 100
    assert size["scales"].max() > np.finfo(np.float16).max


def test_a_problem_may_say_what_its_inputs_are(tmp_path: Path) -> None:
    says = 'def input_domains(shape):\n    return [None, (-1, 0), "as drawn", None, (0, None), None, None]\n'
    oracle = Oracle(load_problem(problem_in(tmp_path, REFERENCE + says)), PYTHON)
    try:
        shape = {"rows": 16, "columns": 256}
        domains = oracle.domains(shape).inputs
        assert domains[1:3] == ("-1 to 0", "as drawn")
        assert domains[4] == "0 to inf"
        drawn = arrays(oracle.draw(5, shape, "judge:large"))
        assert drawn[1].min() == -1
        assert np.array_equal(drawn[2], arrays(oracle.draw(5, shape, "normal"))[2])
    finally:
        oracle.close()


@pytest.mark.parametrize(
    ("says", "wrong"),
    [
        ('return ["noise"] * 7', "'noise' of input 0"),
        ("return [None]", "names 1 inputs"),
        ("return [(1, 0)] * 7", "must be the smaller"),
    ],
)
def test_a_domain_that_cannot_be_read_is_the_problems_fault(tmp_path: Path, says: str, wrong: str) -> None:
    text = f"{REFERENCE}\n\ndef input_domains(shape):\n    {says}\n"
    oracle = Oracle(load_problem(problem_in(tmp_path, text)), PYTHON)
    try:
        with pytest.raises(BadInput, match=wrong):
            oracle.domains({"rows": 16, "columns": 256})
    finally:
        oracle.close()


HEAD = """
import dataclasses
import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(x, *, config):
"""
VARIANTS = {
    "without the maximum": ("e = jnp.exp(x)\n    return e / e.sum(axis=1, keepdims=True)", {"non_finite"}),
    "a series": (
        "e = jnp.exp(jnp.clip(x - x.max(axis=1, keepdims=True), -12.0, 0.0))\n"
        "    return e / e.sum(axis=1, keepdims=True)",
        {"wrong_output"},
    ),
    "two branches on a sample": (
        "y = jnp.abs(x[0, :8]).max() < 20.0\n"
        "    return jax.lax.cond(y, lambda a: jax.nn.softmax(a), lambda a: a * 0 + 1.0 / a.shape[1], x)",
        {"wrong_output", "broken_property"},
    ),
}


@pytest.mark.tpu_compiler
@pytest.mark.timeout(180)
def test_an_author_who_thought_of_one_family_is_still_protected(tmp_path: Path) -> None:
    folder = tmp_path / "softmax"
    shutil.copytree(FORGETFUL, folder)
    text = (folder / "problem.yaml").read_text()
    assert "families: [normal, heavy, constant]" in text
    (folder / "problem.yaml").write_text(text.replace("[normal, heavy, constant]", "[normal]"))
    with Judge(load_problem(folder), parse_target("tpu-v5p"), python=PYTHON) as judge:
        honest = judge.check(VariantSource.read(folder / "variants" / "pallas_rows.py"))
        assert honest.ruling is None
        said = honest.facts["own_families"]
        asked = {key.split(" at ")[0]: what for key, what in said.items()}
        assert asked["judge:large"] == "held", said
        for name, (body, reasons) in VARIANTS.items():
            case = judge.check(VariantSource(name.replace(" ", "_"), f"{HEAD}    {body}\n".encode()))
            assert case.ruling is not None, name
            assert case.ruling.reason in reasons, (name, case.ruling)
            assert case.stages[-1]["stage"] == "beyond"


def test_a_truth_that_has_settled_does_not_make_last_bits_a_fault() -> None:
    """One entry of each row took everything: the truth moves no more, but logsumexp is rounded where x is large."""
    problem = load_problem(FORGETFUL)
    tolerance = Tolerance(multiple=8.0, floor={"float32": 4e-6})
    oracle = Oracle(problem, PYTHON)
    try:
        accused = 0
        for seed in range(12):
            draw = oracle.draw(seed, {"rows": 16, "columns": 256}, "judge:large")
            (x,) = arrays(draw)
            top = x.max(axis=1, keepdims=True)
            rounded = (top + np.log(np.exp(x - top).sum(axis=1, keepdims=True))).astype(np.float32)
            by_logarithm = np.exp(x.astype(np.float32) - rounded)
            e = np.exp(np.clip(x, -900, 900) - 900)
            clipped = e / e.sum(axis=1, keepdims=True)
            a_tenth_short = np.where(draw.truth[0] > 0.5, 0.9, 1) * draw.truth[0]
            for output, right in ((by_logarithm, True), (clipped, False), (a_tenth_short, False)):
                error = correctness.compare("p", "float32", output, draw.truth[0], draw.truth[0], tolerance)
                accused += right and not error.ok
                answer = Wire("float32", output.shape, output.astype(np.float32).tobytes())
                assert as_conditioned(oracle, draw, [answer], [error], tolerance.multiple)[0].ok is right, seed
        assert accused  # by what the problem's own families allow
    finally:
        oracle.close()
