"""`cairn problem new` and `check`: from a user's function to a problem that the judge finds fit, or says why not."""

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from cairn.adopt.probe import probe
from cairn.adopt.source import extract, find_module
from cairn.adopt.specification import Array, array_of, axes_of, shape_of
from cairn.cli.main import main
from cairn.errors import BadInput, Missing, UsageError
from cairn.problem import load_problem
from workspace import TOY

KERNELS = '''\
"""Kernels of a project."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

SCALE = 1.0
UNUSED = open  # would be noticed if it were copied


# the kernel itself
def _kernel(x_ref, o_ref):
    x = x_ref[...].astype(jnp.float32) * SCALE
    e = jnp.exp(x - jnp.max(x, axis=-1, keepdims=True))
    o_ref[...] = (e / jnp.sum(e, axis=-1, keepdims=True)).astype(o_ref.dtype)


@functools.partial(jax.jit, static_argnames=("block", "interpret"))
def softmax(x, *, block: int = 64, interpret=False):
    rows, columns = x.shape
    spec = pl.BlockSpec((block, columns), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel, grid=(rows // block,), in_specs=[spec], out_specs=spec,
        out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=interpret, name="softmax",
    )(x)


def scaled(x, scale, steps):
    return x * scale * steps
'''
PLAIN = "import jax\n\n\ndef softmax(x):\n    return jax.nn.softmax(x, axis=-1)\n"
ARRAYS = ["--input", "x:bf16[R,C]", "--shape", "R=1024,C=256"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "src" / "my_pkg"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    (package / "kernels.py").write_text(KERNELS)
    (package / "plain.py").write_text(PLAIN)
    (package / "helped.py").write_text(
        "from my_pkg.plain import softmax\nimport torch\n\n\ndef f(x):\n    return softmax(x)\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cairn(*arguments: str) -> tuple[int, dict[str, object], str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["problem", *arguments, "--json"])
    return int(ended.value.code or 0), json.loads(out.getvalue() or "{}"), err.getvalue()


@pytest.mark.tpu_compiler
@pytest.mark.slow
def test_from_a_function_to_a_problem_that_is_fit(project: Path) -> None:
    code, made, error = cairn("new", "my_pkg.kernels:softmax", "--baseline", "my_pkg.plain:softmax", *ARRAYS)
    assert code == 0, error
    assert made["trouble"] == ""
    assert {mark["kind"] for mark in made["left"]} == {"REVIEW"}  # type: ignore[attr-defined]
    problem = load_problem(project / "kernels" / "softmax")
    assert dict(problem.outputs) == {"out": "bfloat16"}
    assert problem.shapes.check == [{"R": 256, "C": 256}]
    text = (problem.folder / "variants" / "softmax.py").read_text()
    assert "UNUSED" not in text
    assert "# the kernel itself\ndef _kernel" in text
    assert "block: int = 64" in text
    assert "interpret: " not in text

    code, found, error = cairn("check", "kernels/softmax")
    assert (code, found["blocking"]) == (0, []), error
    answers = {finding["what"]: finding for finding in found["findings"]}  # type: ignore[attr-defined]
    assert answers["wrong answers fail"]["ok"]
    assert answers["truth is float64"]["ok"]
    assert not answers["cost is counted"]["ok"]
    assert not answers["cost is counted"]["fatal"]
    assert "x against the baseline" in answers["start `softmax` can be climbed"]["detail"]


def test_without_inputs_and_baseline_everything_unknown_is_marked(project: Path) -> None:
    code, made, _ = cairn("new", "src/my_pkg/kernels.py:softmax", "--name", "mine")
    assert code == 0
    blocked = {mark["path"] for mark in made["left"] if mark["kind"] == "FINISH"}  # type: ignore[attr-defined]
    assert blocked == {"problem.yaml", "reference.py", "variants/xla_baseline.py"}
    code, found, _ = cairn("check", "kernels/mine")
    assert code == 1
    assert found["findings"] == []
    assert len(found["blocking"]) >= 5  # type: ignore[arg-type]
    assert yaml.safe_load((project / "kernels/mine/problem.yaml").read_text())["name"] == "mine"


def test_what_a_variant_cannot_import_is_marked(project: Path) -> None:
    _, made, _ = cairn("new", "my_pkg.helped:f", "--dry-run", *ARRAYS)
    texts = [mark["text"] for mark in made["left"] if mark["path"] == "variants/f.py"]  # type: ignore[attr-defined]
    assert texts == ["copy here what is used of `line 1: from my_pkg.plain import softmax` in helped.py"]
    assert made["written"] is False
    assert not (project / "kernels").exists()


def test_parameters_that_are_no_arrays_become_fields(project: Path) -> None:
    given = ["--input", "x:f32[N]", "--shape", "N=512", "--set", "scale=0.5", "--set", "steps=3"]
    code, _, error = cairn("new", "my_pkg.kernels:scaled", *given)
    assert code == 0, error
    text = (project / "kernels/scaled/variants/scaled.py").read_text()
    assert "scale: float = 0.5\n    steps: int = 3" in text
    assert "scaled(x, scale=config.scale, steps=config.steps)" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["my_pkg.kernels:softmx"], 65, "did you mean `softmax`"),
        (["my_pkg.kernel:softmax"], 69, "no module `my_pkg.kernel`"),
        (["my_pkg.kernels"], 2, "is not MODULE:FUNCTION"),
        (["my_pkg.kernels:softmax", "--input", "x[R]"], 2, "is not NAME:TYPE[AXES]"),
        (["my_pkg.kernels:softmax", "--input", "x:float8[R]"], 2, "unknown type `float8`"),
        (["my_pkg.kernels:softmax", "--input", "x:f32[R]"], 2, "no shape says how long"),
        (["my_pkg.kernels:softmax", "--input", "x:f32[R]", "--shape", "C=3"], 2, "has an axis R"),
        (["my_pkg.kernels:softmax", "--input", "y:f32[R]", "--shape", "R=3"], 2, "`y` is no parameter"),
        (
            ["my_pkg.kernels:softmax", "--input", "x:f32[R]", "--shape", "R=3", "--set", "z=1"],
            2,
            "`z` is no parameter",
        ),
        (["my_pkg.kernels:scaled", "--input", "x:f32[R]", "--shape", "R=3"], 2, "needs `scale`"),
        (["my_pkg.kernels:softmax", "--name", "Not a name"], 2, "cannot be a problem's name"),
        (["my_pkg.kernels:softmax", "--target", "tpu-v9"], 2, "unknown target"),
    ],
)
def test_bad_wishes_are_refused_with_the_reason(
    arguments: list[str], code: int, message: str, project: Path
) -> None:
    got, _, error = cairn("new", *arguments, "--dry-run")
    assert got == code, error
    assert message in error
    assert not (project / "kernels").exists()


def test_a_problem_is_never_overwritten(project: Path) -> None:
    (project / "kernels" / "softmax").mkdir(parents=True)
    assert cairn("new", "my_pkg.kernels:softmax")[0] == 2


def test_a_module_outside_the_project_is_refused(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "k.py"
    other.write_text("def f(x): return x")
    with pytest.raises(UsageError, match="outside the project"):
        find_module(project, str(other))


def test_a_file_that_is_no_python(project: Path) -> None:
    path = project / "broken.py"
    path.write_text("def f(:\n")
    with pytest.raises(BadInput, match=r"broken.py:1: not valid Python"):
        extract(path, "f")
    with pytest.raises(Missing):
        find_module(project, "absent")


def test_specifications() -> None:
    assert array_of("x:bf16[B, 128]").sizes({"B": 3}) == [3, 128]
    assert array_of("s:float32[]").axes == ()
    assert shape_of("B=8, T=4096") == {"B": 8, "T": 4096}
    assert axes_of([[8, 16, 5], [2, 16, 5]], [{"B": 8, "K": 16}, {"B": 2, "K": 16}]) == ("B", "K", 5)


PRODUCT = """
import dataclasses
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class Config:
    pass


def run(a, b, *, config):
    {asked}
    return (a @ b).T
"""


@pytest.mark.parametrize(
    ("asked", "axes"), [("", ("N", "M")), ("assert a.shape == b.shape", ("M", "M"))], ids=["any", "square"]
)
def test_axes_are_named_where_sizes_are_alike(asked: str, axes: tuple[str, ...]) -> None:
    """A product that takes no other sizes says nothing about them, and is no trouble."""
    inputs = [array_of("a:f32[M,K]"), array_of("b:f32[K,N]")]
    shapes = [{"M": 32, "K": 32, "N": 32}, {"M": 64, "K": 64, "N": 64}]
    found = probe(Path(sys.executable), "product", PRODUCT.format(asked=asked), inputs, shapes, "cpu")
    assert found.trouble == ""
    assert found.outputs == (Array("out", "float32", axes),)


SEED, TRUTH = "np.random.default_rng(seed)", "2.0 * x.astype(np.float64) + y.astype(np.float64)"
TOLERANCE = "multiple: 4.0, floor: {float32: 1.0e-6}"
SPOILT = [
    ("reference.py", TRUTH, "2.0 * x + y", "reference and the baseline run"),
    ("reference.py", SEED, "np.random.default_rng(0)", "inputs come from the seed"),
    ("reference.py", SEED, "np.random.default_rng()", "inputs come from the seed"),
    ("reference.py", '"float32")] * 2', '"float64")] * 2', "inputs are as declared"),
    ("reference.py", TRUTH, "(2.0 * x + y).astype(np.float64)", "truth is float64"),
    ("reference.py", "3 * 4 * elements", "0", "cost is counted"),
    ("reference.py", TRUTH, "0.0 * x.astype(np.float64) + y.astype(np.float64)", "tolerance is narrow"),
    ("problem.yaml", TOLERANCE, "multiple: 4.0, floor: {float32: 3.0}", "wrong answers fail"),
    ("variants/xla_axpy.py", "2.0 * x + y", "2.0 * x[:1] + y[:1]", "baseline is right"),
]


@pytest.mark.tpu_compiler
@pytest.mark.parametrize(
    ("name", "old", "new", "what"), SPOILT, ids=[f"{row[3]}-{i}" for i, row in enumerate(SPOILT)]
)
def test_a_spoilt_problem_is_not_fit(name: str, old: str, new: str, what: str, tmp_path: Path) -> None:
    folder = tmp_path / "axpy"
    shutil.copytree(TOY, folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))
    code, found, error = cairn("check", str(folder))
    assert code == 1, (found, error)
    assert any(what in line for line in found["blocking"]), found["blocking"]  # type: ignore[attr-defined]


@pytest.mark.tpu_compiler
def test_the_toy_problem_is_fit() -> None:
    code, found, error = cairn("check", str(TOY))
    assert (code, found["fit"]) == (0, True), (found, error)
