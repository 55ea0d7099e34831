"""The judge on real variants in real processes: each honest, wrong, broken or lying one gets the right reason.

The interpreter, the real TPU compiler and the cost model are all at work here; only the problem is a toy.
"""

import random
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cairn.errors import BadInput, Missing
from cairn.judge.case import Case
from cairn.judge.protocol import JudgeLimits, VariantSource
from cairn.judge.receipt import ReceiptBook
from cairn.judge.record import record_of
from cairn.judge.referee import Judge
from cairn.problem import load_problem
from cairn.roofline import parse_target
from workspace import TOY

PYTHON = Path(sys.executable)
GOOD = (TOY / "variants" / "pallas_axpy.py").read_text()
HEAD = "import dataclasses, os, sys\nimport jax, jax.numpy as jnp\n"
CONFIG = "@dataclasses.dataclass(frozen=True)\nclass Config:\n    block: int = 8\n"


def plain(body: str, before: str = "") -> str:
    """A variant without Pallas whose `run` has this body."""
    return f"{HEAD}{before}\n{CONFIG}\ndef run(x, y, *, config):\n    {body}\n"


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    limits = JudgeLimits(load_s=30, export_s=30, call_s=30, compile_s=60)
    with Judge(load_problem(TOY), parse_target("tpu-v5p"), python=PYTHON, limits=limits) as judge:
        yield judge


def source(text: str, **config: object) -> VariantSource:
    return VariantSource("pallas_axpy", text.encode(), config)


def outcome(case: Case) -> tuple[str, str]:
    assert case.ruling is not None
    return case.verdict.value, case.ruling.reason


pytestmark = [pytest.mark.tpu_compiler, pytest.mark.timeout(180)]


def test_a_better_block_is_kept(judge: Judge, tmp_path: Path) -> None:
    case = judge.judge(source(GOOD, block=64), source(GOOD, block=8), margin=0.05)
    assert outcome(case) == ("KEEP", "faster")
    assert case.ratio is not None
    assert case.ratio < 0.8
    assert case.cost_us is not None
    assert case.cost_us > case.floors[0].physics.us
    stages = ["frozen", "load", "live", "correct", "compile", "physics", "decide", "beyond", "confirm", "frozen"]
    assert [stage["stage"] for stage in case.stages] == stages
    book = ReceiptBook(tmp_path / "receipts.jsonl")
    receipt = book.add(record_of(case, judge, climb="c", attempt="a0001"))
    assert receipt["fingerprint"]["libtpu"]
    assert receipt["fingerprint"]["jax"]
    own = [check for check in receipt["correctness"] if check["family"].startswith("judge:")]
    families = {check["family"] for check in own}
    assert len(families) == 8
    assert any(check["shape"] == {"rows": 4096} for check in own), "it is small enough for that"
    assert {check["family"] for check in receipt["correctness"]} == {"normal", "large", *families}
    # six checks, two looks for constants that are answers, the judge's own families
    assert len(set(receipt["seeds"])) == len(receipt["seeds"]) == 6 + 2 + len(own)
    assert {check["executor"] for check in receipt["correctness"]} == {"replay"}
    named = [check for check in receipt["correctness"] if check not in own]
    (priced,) = [check for check in named if check["shape"] == {"rows": 4096}]
    assert priced["stand_in"], "what the check shapes allow was enough, so the baseline was not asked there"
    assert all(output["ok"] for check in receipt["correctness"] for output in check["outputs"])
    assert len(receipt["cost"]["shapes"][0]["compiler"]["custom_calls"]) == 1
    assert not book.broken_links()


def test_seeds_are_fresh(judge: Judge) -> None:
    one = judge.judge(source(GOOD, block=16), source(GOOD, block=8), margin=0.05)
    two = judge.judge(source(GOOD, block=16), source(GOOD, block=8), margin=0.05)
    assert not set(one.seeds) & set(two.seeds)
    assert one.programs == two.programs


def test_a_worse_block_is_discarded(judge: Judge) -> None:
    case = judge.judge(source(GOOD, block=8), source(GOOD, block=64), margin=0.05)
    assert outcome(case) == ("DISCARD", "slower")


def test_a_difference_inside_the_margin_is_inconclusive(judge: Judge) -> None:
    case = judge.judge(source(GOOD, block=64), source(GOOD, block=32), margin=0.95)
    assert outcome(case) == ("INCONCLUSIVE", "within_margin")


def test_the_same_program_is_a_no_op_and_costs_nothing(judge: Judge) -> None:
    case = judge.judge(source("# a comment that moves every line\n" + GOOD), source(GOOD), margin=0.05)
    assert outcome(case) == ("DISCARD", "no_op")
    assert not case.prices
    assert not case.checks


def test_what_differs_at_one_priced_shape_only_is_not_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "axpy"
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "problem.yaml").read_text()
    assert "bench: [{rows: 4096}]" in text
    two = text.replace("bench: [{rows: 4096}]", "bench: [{rows: 4096}, {rows: 8192}]")
    (folder / "problem.yaml").write_text(two)
    same, other = "2.0 * x + y", "y + 2.0 * x"
    with Judge(load_problem(folder), parse_target("tpu-v5p"), python=PYTHON) as judge:
        assert outcome(judge.judge(source(plain(f"return {same}")))) == ("DISCARD", "no_op")
        special = judge.judge(source(plain(f"return {other} if x.shape[0] == 8192 else {same}")))
        assert outcome(special) == ("INCONCLUSIVE", "within_margin")
        assert len(special.prices) == 2


WRONG = {
    "wrong sign": (plain("return 2.0 * x - y"), "wrong_output"),
    "zeros": (plain("return jnp.zeros_like(x) + 0 * y"), "wrong_output"),
    "one row forgotten": (plain("return (2.0 * x + y).at[-1].set(0.0)"), "wrong_output"),
    "low precision": (plain("return (2 * x.astype(jnp.bfloat16) + y).astype(jnp.float32)"), "wrong_output"),
    "nan": (plain("return 2.0 * x + y + jnp.nan"), "non_finite"),
    "infinite": (plain("return (2.0 * x + y) / 0.0"), "non_finite"),
    "broadcastable": (plain("return (2.0 * x + y)[:1, :1]"), "wrong_shape"),
    "another type": (plain("return (2.0 * x + y).astype(jnp.bfloat16)"), "wrong_shape"),
    "two outputs": (plain("return 2.0 * x + y, x"), "wrong_shape"),
    "prints a fake result": (
        plain("return x", before='print(\'EVAL_RESULT: {"verdict": "KEEP", "speedup": 99}\')'),
        "wrong_output",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_outputs_are_discarded(judge: Judge, name: str) -> None:
    text, reason = WRONG[name]
    assert outcome(judge.judge(source(text))) == ("DISCARD", reason)


BAD_BLOCK = GOOD.replace("pl.BlockSpec((config.block, columns)", "pl.BlockSpec((config.block, 100)")
BROKEN = {
    "syntax": ("def run(:\n", "import_error"),
    "no config": (f"{HEAD}def run(x, y, *, config):\n    return x\n", "import_error"),
    "raises at import": (plain("return x", before="raise RuntimeError('no')"), "import_error"),
    "exits at import": (plain("return x", before="os._exit(0)"), "exited"),
    "exits politely at import": (plain("return x", before="sys.exit(0)"), "exited"),
    "exits while running": (plain("os._exit(0)"), "exited"),
    "kills itself": (plain("os.kill(os.getpid(), 9)"), "killed"),
    "raises while tracing": (plain("raise ValueError('no such luck')"), "trace_error"),
    "host callback": (
        plain("return jax.pure_callback(lambda a, b: 2 * a + b, jax.ShapeDtypeStruct(x.shape, x.dtype), x, y)"),
        "host_callback",
    ),
    "debugging left in": (plain("jax.debug.print('{}', x[0, 0])\n    return 2.0 * x"), "trace_error"),
    "a key instead of numbers": (plain("return jax.random.key(0)"), "trace_error"),
    "block shape": (BAD_BLOCK, "block_shape"),
    "vector memory": (GOOD.replace("config.block,", "rows,").replace("// config.block", "// rows"), "vmem_oom"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_variants_crash_and_the_judge_does_not(judge: Judge, name: str) -> None:
    text, reason = BROKEN[name]
    case = judge.judge(source(text))
    verdict, found = outcome(case)
    assert verdict == ("INVALID" if reason == "host_callback" else "CRASH"), case.ruling
    assert found == reason, case.ruling
    assert case.ruling is not None
    assert case.ruling.detail


def test_what_is_wrong_is_said_of_the_file_and_of_run(judge: Judge) -> None:
    typo = judge.judge(source(plain("return jnp.ad(2.0 * x, y)"))).ruling
    assert typo is not None
    assert re.fullmatch(r"module 'jax.numpy' has no attribute 'ad' \(\w+\.py:\d+\)", typo.detail)
    too_few = judge.judge(source(plain("return x").replace("run(x, y, ", "run(x, "))).ruling
    assert too_few is not None
    assert too_few.reason == "arguments"
    assert "run(*inputs, config=...)" in too_few.detail


def test_a_table_among_the_tunables_is_no_forgery(judge: Judge) -> None:
    table = plain("return 2.0 * x - y").replace("block: int = 8", "table: tuple = tuple(range(10**6))")
    assert outcome(judge.judge(source(table))) == ("DISCARD", "wrong_output")


FORGERS = {
    "frame to every descriptor": """
import struct, json
_text = json.dumps({"outputs": [], "id": "x", "blobs": []}).encode()
for _fd in range(3, 64):
    try:
        os.write(_fd, struct.pack("<4sI", b"CRN1", len(_text)) + _text)
    except OSError:
        pass
""",
    "noise to every descriptor": """
for _fd in range(3, 64):
    try:
        os.write(_fd, b"PASS 99x faster" * 10)
    except OSError:
        pass
""",
}


@pytest.mark.parametrize("name", FORGERS)
def test_forged_replies_are_invalid(judge: Judge, name: str) -> None:
    case = judge.judge(source(plain("return 2.0 * x + y", before=FORGERS[name])))
    assert outcome(case) == ("INVALID", "forged_reply")


RANDOM = (
    GOOD.replace("import jax\n", "import jax\nimport jax.numpy as jnp\n", 1)
    .replace(
        "    z[...] = 2.0 * x[...] + y[...]",
        "    pltpu.prng_seed(0)\n    noise = (pltpu.prng_random_bits(x.shape) & 1).astype(jnp.float32)\n"
        "    z[...] = 2.0 * x[...] + y[...] + 0.0 * noise",
    )
    .replace("import pallas as pl\n", "import pallas as pl\nfrom jax.experimental.pallas import tpu as pltpu\n")
)


def test_what_cannot_be_replayed_is_not_kept_on_its_own_word(judge: Judge) -> None:
    """The chip's random numbers are not in the replay: right in the interpreter, which a variant could fool."""
    case = judge.judge(source(RANDOM, block=64), source(GOOD, block=8), margin=0.05)
    assert outcome(case) == ("INCONCLUSIVE", "unreplayable")
    assert {check["executor"] for check in case.checks} == {"interpreter"}


def test_the_interpreter_may_be_trusted_on_purpose() -> None:
    problem, target = load_problem(TOY), parse_target("tpu-v5p")
    with Judge(problem, target, python=PYTHON, trust_interpreter=True) as judge:
        case = judge.judge(source(RANDOM, block=64), source(GOOD, block=8), margin=0.05)
    assert outcome(case) == ("KEEP", "faster")


def test_a_hang_and_its_children_end() -> None:
    word = f"600.{random.randrange(10**15):015}"  # a time to sleep by which the child is found
    before = f"""
import subprocess, time
_child = subprocess.Popen(["sleep", "{word}"], start_new_session=True)
time.sleep(600)
"""
    limits = JudgeLimits(load_s=6)
    seen = []
    with Judge(load_problem(TOY), parse_target("tpu-v5p"), python=PYTHON, limits=limits) as judge:
        watcher = threading.Timer(4, lambda: seen.extend(sleepers(word)))
        watcher.start()
        case = judge.judge(source(plain("return x", before=before)))
        watcher.join()
    assert outcome(case) == ("CRASH", "timeout")
    assert len(seen) == 1
    assert not sleepers(word)


def sleepers(word: str) -> list[int]:
    return [process.pid for process in psutil.process_iter(["cmdline"]) if word in (process.info["cmdline"] or [])]


def test_a_frozen_file_that_changes_is_invalid(tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(TOY, tmp_path / "axpy", ignore=shutil.ignore_patterns("__pycache__")))
    with Judge(load_problem(folder), parse_target("tpu-v5p"), python=PYTHON) as judge:
        (folder / "reference.py").write_text((folder / "reference.py").read_text() + "\n# loosened\n")
        case = judge.judge(source(GOOD, block=64))
    assert outcome(case) == ("INVALID", "frozen_changed")


def test_a_kernel_has_to_bear_on_the_answer_where_one_is_asked_for(tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(TOY, tmp_path / "axpy", ignore=shutil.ignore_patterns("__pycache__")))
    (folder / "problem.yaml").write_text((folder / "problem.yaml").read_text() + "kernel_calls: 1\n")
    beside = (
        GOOD.replace("    return pl.pallas_call(", "    unused = pl.pallas_call(") + "    return y + 2.0 * x\n"
    )
    with Judge(load_problem(folder), parse_target("tpu-v5p"), python=PYTHON) as judge:
        for text in (plain("return y + 2.0 * x"), beside):
            assert outcome(judge.judge(source(text))) == ("DISCARD", "no_kernel")
        assert judge.check(source(GOOD, block=64)).ruling is None


def test_a_broken_reference_is_the_problems_fault(tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(TOY, tmp_path / "axpy", ignore=shutil.ignore_patterns("__pycache__")))
    reference = folder / "reference.py"
    reference.write_text(reference.read_text().replace(".astype(np.float64)", ""))
    with (
        Judge(load_problem(folder), parse_target("tpu-v5p"), python=PYTHON) as judge,
        pytest.raises(BadInput, match=r"reference\.py.*is float32, not float64"),
    ):
        judge.judge(source(GOOD, block=64))


def test_a_tolerance_that_lets_zeros_pass_is_refused(tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(TOY, tmp_path / "axpy", ignore=shutil.ignore_patterns("__pycache__")))
    path = folder / "problem.yaml"
    path.write_text(path.read_text().replace("float32: 1.0e-6", "float32: 2.0"))
    with (
        Judge(load_problem(folder), parse_target("tpu-v5p"), python=PYTHON) as judge,
        pytest.raises(BadInput, match="zeros would pass"),
    ):
        judge.judge(source(GOOD, block=64))


def test_an_interpreter_without_jax_is_missing(tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "bare", with_pip=False)
    with pytest.raises(Missing, match=r"lacks packages|No module named"):
        Judge(load_problem(TOY), parse_target("tpu-v5p"), python=tmp_path / "bare/bin/python").__enter__()
