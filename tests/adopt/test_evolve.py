"""`cairn problem import pallas-evolve`: templates and references that draw their own inputs become honest problems."""

import contextlib
import io
import json
from pathlib import Path

import pytest

from cairn.adopt.drawing import drawing_text
from cairn.adopt.entry_split import bindings, parts_of
from cairn.cli.main import main
from cairn.errors import BadInput
from cairn.problem import load_problem

TEMPLATE = '''\
"""A kernel that an evaluator could time."""

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl


def _make_test_data(M, K, chunk_size, seed=42):
    key = jax.random.PRNGKey(seed)
    k1, k2 = jax.random.split(key)
    x = jax.random.normal(k1, (M, K), dtype=jnp.float32)
    gain = -jnp.abs(jax.random.normal(k2, (K,), dtype=jnp.float32)) * 0.1
    return x, gain


# EVOLVE-BLOCK-START
def _kernel(x_ref, g_ref, o_ref):
    o_ref[...] = x_ref[...] * g_ref[...]


def optimized_compute(M=256, K=128, chunk_size=64):
    """Scale the columns."""
    x, gain = _make_test_data(M, K, chunk_size)
    # the grid
    spec = pl.BlockSpec((chunk_size, K), lambda i: (i, 0))
    return pl.pallas_call(
        _kernel, grid=(M // chunk_size,), in_specs=[spec, pl.BlockSpec((1, K), lambda i: (0, 0))], out_specs=spec,
        out_shape=jax.ShapeDtypeStruct((M, K), jnp.float32), name="scale",
    )(x, gain.reshape(1, K))
# EVOLVE-BLOCK-END
'''
REFERENCE = """\
import jax
import jax.numpy as jnp


def simple_compute(M=256, K=128, chunk_size=64):
    k1, k2 = jax.random.split(jax.random.PRNGKey(42))
    x = jax.random.normal(k1, (M, K), dtype=jnp.float32)
    gain = -jnp.abs(jax.random.normal(k2, (K,), dtype=jnp.float32)) * 0.1
    return x * gain[None, :]


def reference_fn(**kwargs):
    return simple_compute(**kwargs)
"""
CONFIG = """\
kernel:
  name: "Scaled Columns"
  template: "kernels/scale.py"
  reference: "kernels/scale_ref.py"
  evolve_markers: {start: "# EVOLVE-BLOCK-START", end: "# EVOLVE-BLOCK-END"}
shapes:
  - { M: 2048, K: 128, chunk_size: 64 }
  - { M: 4096, K: 128, chunk_size: 64 }
correctness: {method: allclose, rtol: 2e-2, atol: 1.0}
evaluator: {namespace: default, timeout: 600}
tpu: {cluster: "tpu7x-cluster", zone: "us-central1"}
batch: {diversity_directions: [tiling]}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "examples/kernels").mkdir(parents=True)
    (tmp_path / "examples/kernels/scale.py").write_text(TEMPLATE)
    (tmp_path / "examples/kernels/scale_ref.py").write_text(REFERENCE)
    (tmp_path / "examples/scale.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cairn(*arguments: str) -> tuple[int, dict[str, object], str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["problem", *arguments, "--json"])
    return int(ended.value.code or 0), json.loads(out.getvalue() or "{}"), err.getvalue()


def bring(project: Path, **changes: tuple[str, str]) -> tuple[int, dict[str, object], str]:
    """Import, after changing files: name -> (old, new)."""
    for name, (old, new) in changes.items():
        path = next(project.glob(f"examples/**/{name}.*"))
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    return cairn("import", "pallas-evolve", "examples/scale.yaml")


@pytest.mark.tpu_compiler
@pytest.mark.slow
def test_an_imported_problem_is_fit(project: Path) -> None:
    code, made, error = bring(project)
    assert code == 0, error
    assert any("atol 1.0 is not taken over" in note for note in made["notes"])  # type: ignore[attr-defined]
    problem = load_problem(project / "kernels/scaled_columns")
    assert problem.targets == ("tpu7x",)
    assert problem.shapes.bench[1] == {"M": 4096, "K": 128, "chunk_size": 64}
    assert problem.shapes.check == [{"M": 256, "K": 128, "chunk_size": 64}]
    assert dict(problem.outputs) == {"out": "float32"}
    kernel = (problem.folder / "variants/scale.py").read_text()
    assert "def optimized_compute(x, gain):" in kernel
    assert "M = x.shape[0]" in kernel
    assert "chunk_size = 64  # no axis of an input shows it" in kernel
    assert "# EVOLVE-BLOCK-START" in kernel
    assert "# the grid" in kernel

    code, found, error = cairn("check", str(problem.folder))
    assert (code, found["blocking"]) == (0, []), error


def test_everything_that_does_not_draw_stays_as_it_was(project: Path) -> None:
    parts = parts_of(project / "examples/kernels/scale.py", ["optimized_compute"])
    assert parts.inputs == ("x", "gain")
    text = parts.computing_text(bindings(parts, {"M": (0, 0), "K": (0, 1)}, {"chunk_size": 64}))
    before, after = TEMPLATE.splitlines(), text.splitlines()
    assert [line for line in before if line not in after] == [
        "def optimized_compute(M=256, K=128, chunk_size=64):",
        "    x, gain = _make_test_data(M, K, chunk_size)",
    ]


def test_fixed_keys_become_keys_of_the_judges_seed(project: Path) -> None:
    parts = parts_of(project / "examples/kernels/scale.py", ["optimized_compute"])
    text = drawing_text(parts.drawing_text())
    assert "key = _seeded_key(seed)" in text
    assert "pallas" not in text
    assert "def draw(M, K, chunk_size):" in text


def test_gradients_that_are_dropped_must_be_decided_on(project: Path) -> None:
    new = "loss, _ = jax.value_and_grad(lambda x: (x * gain[None, :]).sum())(x)\n    return loss"
    _, made, _ = bring(project, scale_ref=("return x * gain[None, :]", new))
    texts = [mark["text"] for mark in made["left"] if mark["kind"] == "FINISH"]  # type: ignore[attr-defined]
    assert any("line 9 of scale_ref.py drops gradients" in text for text in texts)


def test_functions_that_are_split_already(project: Path) -> None:
    offered = "def make_inputs(M=256, K=128, chunk_size=64):\n    return _make_test_data(M, K, chunk_size)\n\n\n"
    kernel = project / "examples/kernels/scale.py"
    text = TEMPLATE.replace("def optimized_compute(M=256, K=128, chunk_size=64):", "def timed_compute(x, gain):")
    text = text.replace(
        "    x, gain = _make_test_data(M, K, chunk_size)\n", "    (M, K), chunk_size = x.shape, 64\n"
    )
    kernel.write_text(text.replace("# EVOLVE-BLOCK-START\n", f"{offered}# EVOLVE-BLOCK-START\n"))
    code, made, error = bring(project)
    assert code == 0, error
    assert "outputs = timed_compute(x, gain)" in (Path(str(made["problem"])) / "variants/scale.py").read_text()


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"scale.yaml": ("kernels/scale.py", "kernels/absent.py")}, 65, "scale.yaml:3: kernel.template"),
        ({"scale.yaml": ("shapes:", "shape:")}, 65, "shapes"),
        ({"scale.yaml": ("chunk_size: 64 }\n  -", "chunk_size: 32 }\n  -")}, 65, "`chunk_size` is 32 in one shape"),
        ({"scale.yaml": ("2048, K: 128, chunk_size: 64 }", "2048, K: 128 }")}, 65, "`chunk_size` not given"),
        ({"scale.yaml": ("M: 2048", "M: many")}, 65, "scale.yaml:7: shapes.0"),
        ({"scale.py": ("    x, gain = _make", "    return _make")}, 65, "scale.py:23: inputs are drawn"),
        ({"scale.py": ("    x, gain = _make_test_data(M, K, chunk_size)", "    x = gain = M")}, 65, "draws no inputs"),
        ({"scale.py": ("def optimized_compute", "def something")}, 65, "no function optimized_compute or kernel_fn"),
        ({"scale.py": ("import jax\n", "import jax,\n")}, 65, "not valid Python"),
        ({"scale_ref.py": ("return x * gain", "return x *")}, 65, "not valid Python"),
        ({"scale_ref.py": ("return x * gain[None, :]", "return x")}, 65, "it draws `x`, the template `x`, `gain`"),
        ({"scale.py": ("def _kernel", "def run")}, 65, "it defines run"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_over_says_where(
    changes: dict[str, tuple[str, str]], code: int, message: str, project: Path
) -> None:
    for name, (old, new) in changes.items():
        path = next(project.glob(f"examples/**/{name}"))
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
    got, _, error = cairn("import", "pallas-evolve", "examples/scale.yaml")
    assert (got, message in error) == (code, True), error
    assert not (project / "kernels").exists()


def test_an_entry_without_a_module(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        parts_of(tmp_path / "absent.py", ["f"])
