"""`cairn judge`: exit codes, one JSON object, and what it says to bad input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.cli.main import main
from workspace import Workspace

GOOD = ["kernels/axpy", "--variant", "pallas_axpy"]


def cairn(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; give exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


@pytest.mark.tpu_compiler
def test_a_judgement_prints_one_object_and_writes_its_receipt(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("judge", "run", str(workspace.problem), "--variant", "pallas_axpy", "--set", "block=64")
    code, out, err = cairn(capsys, *arguments, "--against", "pallas_axpy", "--margin", "0.05", "--json")
    receipt = json.loads(out)
    assert (code, receipt["verdict"], receipt["reason"]) == (0, "KEEP", "faster")
    assert receipt["variant"]["config"] == {"block": "64"}
    assert receipt["cost"]["kind"] == "predicted"
    assert "judging axpy/pallas_axpy" in err
    book = workspace.root / ".cairn" / "runs" / "judge" / "receipts.jsonl"
    assert json.loads(book.read_text())["id"] == receipt["id"]
    assert workspace.git("status", "--porcelain") == " M notes.txt\n"  # the run folder keeps itself out of git
    assert (receipt["receipt"], receipt["receipts"]) == (receipt["id"], str(book))
    assert cairn(capsys, "judge", "verify", str(book))[0] == 0
    again = ("judge", "verify", receipt["id"], "--registry", str(workspace.root / "registry.json"), "--json")
    code, out, _ = cairn(capsys, *again)
    verified = json.loads(out)
    assert (code, verified["outcome"], verified["now"]["us"]) == (0, "reproduced", verified["then"]["us"])
    assert verified["now"]["seeds"] != verified["then"]["seeds"]
    reference = workspace.problem / "reference.py"
    reference.write_text(reference.read_text() + "\n# another problem now\n")
    code, out, _ = cairn(capsys, *again)
    assert (code, json.loads(out)["outcome"]) == (69, "cannot")
    book.write_text(book.read_text().replace("KEEP", "keep"))
    code, out, _ = cairn(capsys, "judge", "verify", str(book))
    assert code == 1
    assert receipt["id"] in out


@pytest.mark.tpu_compiler
def test_a_person_gets_a_table(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = cairn(capsys, "judge", "run", str(workspace.problem), "--variant", "pallas_axpy")
    assert code == 1
    assert "DISCARD (slower)" in out
    assert "predicted us" in out
    assert "correctness: 5 draws" in out
    assert [line.strip() for line in err.splitlines()[1:]] == [
        "frozen",
        "load",
        "live",
        "correct",
        "compile",
        "physics",
        "decide",
        "frozen",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message", "fix"),
    [
        (
            ["kernels/axpy", "--variant", "pallas_axpi"],
            2,
            "no variant `pallas_axpi`",
            "did you mean `pallas_axpy`?",
        ),
        ([*GOOD, "--target", "tpu-v5q"], 2, "unknown target", "did you mean"),
        (
            [*GOOD, "--set", "block"],
            2,
            "is not FIELD=VALUE",
            "--set chunk=128",
        ),
        (["kernels/absent", "--variant", "x"], 69, "no problem at", "problem.yaml"),
        (["kernels", "--variant", "x"], 69, "problem.yaml does not exist", "kernels/README.md"),
        (["kernels/axpy"], 2, "Missing option '--variant'", ""),
    ],
)
def test_bad_arguments(
    workspace: Workspace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
    fix: str,
) -> None:
    monkeypatch.chdir(workspace.root)
    found, out, err = cairn(capsys, "judge", "run", *arguments)
    assert (found, out) == (code, "")
    assert message in err
    assert fix in err
    assert "Traceback" not in err


def test_a_malformed_problem_names_file_line_and_fix(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    path = workspace.problem / "problem.yaml"
    path.write_text(path.read_text().replace("tolerance:", "tolerence:"))
    code, _, err = cairn(capsys, "judge", "run", str(workspace.problem), "--variant", "pallas_axpy")
    assert code == 65
    assert "problem.yaml:14: tolerence" in err
    assert "did you mean `tolerance`?" in err


def test_a_registry_with_a_wrong_type(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace.root / "registry.json").write_text('{\n "paths": {"runs": "../outside"}\n}')
    code, _, err = cairn(capsys, "judge", "run", str(workspace.problem), "--variant", "pallas_axpy")
    assert code == 65
    assert "registry.json:2: paths.runs: `../outside` leaves the project" in err


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = cairn(capsys, "jugde")
    assert code == 2
    assert "did you mean `judge`?" in err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom cairn.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'jax', 'numpy', 'github', 'optuna', 'rich', 'yaml', 'rapidfuzz'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Exit codes" in done.stdout


def test_the_entry_point_says_its_version() -> None:
    from cairn import __version__

    script = Path(sys.executable).with_name("cairn")
    out = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout
    assert out.strip() == f"cairn {__version__}"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--variant", "nosuch.py"), 2, "no variant `nosuch.py`"),
        (("--variant", "a" * 300 + ".py"), 2, "has no variant"),
        (("--variant", "pallas_axpy", "--margin", "2"), 2, "not in the range"),
        (("--variant", "pallas_axpy", "--target", "tpu-v9"), 2, "tpu-v9"),
    ],
)
def test_an_error_too_is_one_object(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, said: str
) -> None:
    found, out, err = cairn(capsys, "judge", "run", str(workspace.problem), *words, "--json")
    told = json.loads(out)
    assert (found, told["exit_code"]) == (code, code)
    assert said in told["error"]
    assert said in err
