"""What is read of a program before it goes anywhere else: tables, answers, and programs nobody can read."""

import shutil
import sys
from pathlib import Path

import pytest

from cairn.judge.audit import audit
from cairn.judge.protocol import VariantSource
from cairn.judge.referee import Judge
from cairn.judge.replay import ProgramFacts
from cairn.judge.verdict import REASONS, Verdict
from cairn.lab.failures import KINDS
from cairn.problem import load_problem
from cairn.roofline import parse_target
from workspace import TOY

PYTHON = Path(sys.executable)
SOFTMAX = Path(__file__).parents[1] / "honest" / "softmax"
CHEATS = Path(__file__).parents[1] / "cheats" / "axpy"
HEAD = """
import dataclasses
import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Config:
    pass


"""
LARGE = """
_TABLE = np.random.default_rng(0).standard_normal((512, 9000)).astype(np.float32)


def run(x, *, config):
    return jax.nn.softmax(x, axis=1) + 0 * (_TABLE.sum(axis=1)[0] + jnp.asarray(_TABLE)[:1, :1] * x[0, 0])
"""
# right on all inputs, and the answer to those that every seed draws stands in the program
ANSWER = """
def run(x, *, config):
    ramp = np.linspace(-3, 3, x.size, dtype=np.float32).reshape(x.shape)
    e = np.exp(ramp - ramp.max(axis=1, keepdims=True))
    table = (e / e.sum(axis=1, keepdims=True)).astype(np.float32)
    return jnp.where((x == ramp).all(), table, jax.nn.softmax(x, axis=1))
"""
# right, with a table of the same size as the output that answers nothing
MASK = """
def run(x, *, config):
    weights = np.random.default_rng(1).uniform(1, 2, x.shape).astype(np.float32)
    return jax.nn.softmax(x * weights / weights, axis=1)
"""

pytestmark = [pytest.mark.tpu_compiler, pytest.mark.timeout(180)]


def source(name: str, text: str) -> VariantSource:
    return VariantSource(name, f"{HEAD}{text}".encode())


def test_every_failure_of_the_compiler_is_a_reason() -> None:
    assert set(KINDS) <= REASONS.keys()
    assert {REASONS[kind][0] for kind in KINDS} == {Verdict.CRASH}


def reason_of(dot: str, declared: list[str], platform: str) -> str | None:
    """What the audit says of a program that is one product and nothing else."""
    nothing: tuple[()] = ()
    facts = ProgramFacts(
        *(2, nothing, nothing, {}, nothing, nothing, nothing, ((0, 1),), nothing, nothing, nothing, 0),
        dots={dot: 1},
        flat=True,
    )
    ruling = audit(facts, declared, platform)
    return ruling and ruling.reason


@pytest.mark.parametrize("platform", ["cpu", "tpu", "cuda"])
def test_only_less_precision_than_declared_is_too_little(platform: str) -> None:
    """What is one pass of bfloat16 on a TPU is float32 on a processor: more than was asked for is no fault."""
    assert reason_of("f32 x f32 DEFAULT", ["bfloat16"], platform) is None
    assert reason_of("f32 x f32 HIGHEST", ["bfloat16"], platform) is None
    assert reason_of("bf16 x bf16 DEFAULT", ["bfloat16", "float32"], platform) is None
    assert reason_of("bf16 x bf16 DEFAULT", ["float32"], platform) == "low_precision"
    assert reason_of("f16 x f16 DEFAULT", ["bfloat16"], platform) == "low_precision"
    assert reason_of("f8E4M3FN x bf16 DEFAULT", ["bfloat16"], platform) == "low_precision"
    assert reason_of("i8 x i8 DEFAULT", ["bfloat16"], platform) == "low_precision"


def test_a_table_may_be_large_but_not_larger_than_any_work_for_it(tmp_path: Path) -> None:
    folder = tmp_path / "softmax"
    shutil.copytree(SOFTMAX, folder)
    yaml, reference = folder / "problem.yaml", folder / "reference.py"
    yaml.write_text(yaml.read_text().replace("[normal, heavy, constant]", "[normal, ramp]"))
    ramp = '"ramp": lambda: np.linspace(-3, 3, size[0] * size[1]).reshape(size),\n        "heavy"'
    reference.write_text(reference.read_text().replace('"heavy"', ramp))
    with Judge(load_problem(folder), parse_target("tpu-v5p"), python=PYTHON) as judge:
        large, answer, mask = (
            judge.check(source(name, text))
            for name, text in (("large", LARGE), ("answer", ANSWER), ("mask", MASK))
        )
    assert large.ruling is not None
    assert (large.verdict.value, large.ruling.reason) == ("INVALID", "constant_table")
    assert large.stages[-1]["stage"] == "live"
    assert answer.ruling is not None
    assert (answer.verdict.value, answer.ruling.reason) == ("INVALID", "constant_answer")
    assert "ramp" in answer.ruling.detail
    assert mask.ruling is None


def test_what_nobody_can_read_is_not_compiled() -> None:
    """Not even where the interpreter's word is taken; nor is an incumbent that was named by hand."""
    unread = VariantSource.read(CHEATS / "two_devices.py")
    callback = VariantSource.read(CHEATS / "host_computes.py")
    honest = VariantSource.read(TOY / "variants" / "pallas_axpy.py")
    with Judge(load_problem(TOY), parse_target("tpu-v5p"), python=PYTHON, trust_interpreter=True) as judge:
        handed: list[bytes] = []
        prepare = judge._cost.prepare
        judge._cost.prepare = lambda programs: (handed.extend(programs), prepare(programs))[1]  # type: ignore[method-assign]
        assert judge.judge(unread, margin=0.05).verdict is not Verdict.KEEP
        baseline = judge._programs.lower_alone(judge._baseline.source, judge.problem.shapes.bench)
        assert isinstance(baseline, list)
        assert set(handed) <= set(baseline)  # whose price is asked for ahead
        handed.clear()
        against = judge.judge(honest, callback, margin=0.05)
        assert against.ruling is not None
        assert against.ruling.reason == "incumbent_unfit"
        assert "host" in against.ruling.detail
        assert len(handed) == 1  # the variant's own
