"""problem.yaml: what is read, what is refused and how, and what is frozen."""

import shutil
from pathlib import Path

import pytest
import yaml

from cairn.errors import BadInput, Missing, UsageError
from cairn.problem import holds, load_problem
from workspace import TOY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TOY, tmp_path / "axpy", ignore=shutil.ignore_patterns("__pycache__")))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "problem.yaml"
    data = {**yaml.safe_load(path.read_text()), **changes}
    path.write_text(yaml.safe_dump({k: v for k, v in data.items() if v is not None}, sort_keys=False))


def test_reads_the_toy(folder: Path) -> None:
    problem = load_problem(folder)
    assert problem.baseline == "xla_axpy"
    assert problem.start == "pallas_axpy"
    assert problem.shapes.bench == [{"rows": 4096}]
    assert problem.variants() == ["pallas_axpy", "xla_axpy"]
    assert load_problem(folder / "problem.yaml").folder == problem.folder


def test_every_problem_of_the_repository_loads() -> None:
    folders = sorted(path.parent for path in (TOY.parents[2] / "kernels").glob("*/problem.yaml"))
    assert len(folders) >= 2
    for folder in folders:
        problem = load_problem(folder)
        assert problem.name == folder.name
        assert problem.start in problem.variants()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "schema 2 is not known"),
        ({"baseline": "absent"}, r"baseline: there is no variants/absent\.py"),
        ({"baseline": None}, "missing required field `baseline`"),
        ({"start": "xla_axpy"}, "the baseline is frozen"),
        ({"reference": "absent.py"}, r"`absent\.py` does not exist"),
        ({"reference": "../../x.py"}, "leaves the problem's folder"),
        ({"outputs": {}}, "outputs: must not be empty"),
        ({"outputs": {"z": "complex64"}}, "outputs.z: `complex64` cannot be compared"),
        ({"editable": ["../*.py"]}, "leaves the problem's folder"),
        ({"shapes": {"check": [], "bench": [{"rows": 8}]}}, "shapes.check: needs at least one shape"),
        ({"shapes": {"check": [{"rows": -1}], "bench": [{"rows": 8}]}}, "not negative"),
        ({"shapes": {"check": [{"rows": "many"}], "bench": []}}, "expected `int`, got `str`"),
        ({"tolerence": {}}, "unknown field `tolerence`"),
        ({"tunables": {"absent": {"space": {}}}}, "tunables.absent: there is no"),
        ({"tunables": {"pallas_axpy": {"space": {"block": []}}}}, "needs at least one choice"),
        (
            {"tunables": {"pallas_axpy": {"space": {"block": [8]}, "constraints": ["rows % blok == 0"]}}},
            "`rows % blok == 0` cannot be evaluated",
        ),
    ],
)
def test_bad_values_are_named(folder: Path, changes: dict[str, object], message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BadInput, match=message) as caught:
        load_problem(folder)
    assert "problem.yaml" in str(caught.value)


def test_a_misspelling_gets_its_line_and_the_right_word(folder: Path) -> None:
    path = folder / "problem.yaml"
    path.write_text(path.read_text().replace("families:", "famlies:"))
    with pytest.raises(BadInput, match=r"problem\.yaml:\d+: famlies") as caught:
        load_problem(folder)
    assert caught.value.hint == "did you mean `families`?"


def test_broken_yaml_names_the_line(folder: Path) -> None:
    (folder / "problem.yaml").write_text("name: x\noutputs: {a: b\nshapes: [\n")
    with pytest.raises(BadInput, match=r"problem\.yaml:\d+: not valid YAML"):
        load_problem(folder)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no problem at"):
        load_problem(tmp_path / "absent")
    with pytest.raises(Missing, match=r"problem\.yaml does not exist"):
        load_problem(tmp_path)


def test_variants_by_name_and_by_file(folder: Path, tmp_path: Path) -> None:
    problem = load_problem(folder)
    assert problem.variant("xla_axpy").name == "xla_axpy.py"
    other = tmp_path / "mine.py"
    other.write_text("")
    assert problem.variant(str(other)) == other
    with pytest.raises(UsageError, match="no variant `pallas_axpi`") as caught:
        problem.variant("pallas_axpi")
    assert caught.value.hint == "did you mean `pallas_axpy`?"


def test_what_is_frozen(folder: Path) -> None:
    problem = load_problem(folder)
    assert problem.is_editable("variants/pallas_axpy.py")
    assert not problem.is_editable("variants/xla_axpy.py")  # the baseline sets the tolerance
    assert not problem.is_editable("reference.py")
    assert not problem.is_editable("variants/../reference.py")
    before = problem.frozen_hash()
    (folder / "variants" / "pallas_axpy.py").write_text("# changed")
    assert problem.frozen_hash() == before
    (folder / "variants" / "xla_axpy.py").write_text("# changed")
    assert problem.frozen_hash() != before


def test_constraints() -> None:
    assert holds(["a % b == 0", "a < 10"], {"a": 8, "b": 4})
    assert not holds(["a % b == 0"], {"a": 8, "b": 3})
    with pytest.raises(BadInput):
        holds(["__import__('os').getcwd()"], {})
