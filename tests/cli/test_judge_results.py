"""`cairn judge check-results`: exit codes, one JSON object, bounded and harmless output."""

import json
from pathlib import Path

import pytest

from cairn.cli.main import main
from judge.foreign_runs import ForeignRunDirectory, success, timing


def check(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run the command in this process; give exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as stop:
        main(["judge", "check-results", *(str(each) for each in arguments)])
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_a_clean_run_is_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ForeignRunDirectory(tmp_path).clean()
    code, out, _ = check(capsys, tmp_path)
    assert code == 0
    assert "4 results: 4 TRUSTED, 0 UNTRUSTED" in out
    assert "nothing found" in out


def test_strong_reasons_stand_apart_from_a_missing_fingerprint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ForeignRunDirectory(tmp_path)
    for number in range(4):
        run.put(f"v{number}", success(number, fingerprint=None))
    run.put("torn", success(9, fingerprint=None, benchmark=timing(13.53, 13.43, 13.54, 0.0006, 13.44)))
    code, out, _ = check(capsys, tmp_path, "--json")
    data = json.loads(out)
    assert (code, data["verdict"]) == (1, "UNTRUSTED")
    assert (data["counts"]["untrusted"], data["counts"]["untrusted_hard"]) == (5, 1)
    first, *others = data["variants"]
    assert {each["code"] for each in first["reasons"]["hard"]} == {"iteration_outlier", "high_cv"}
    assert first["path"] == "iteration_1/variants/torn/eval_result.json"
    assert all(not each["reasons"]["hard"] and each["reasons"]["provenance"] for each in others)
    assert data["codes"]["missing_fingerprint"] == {"severity": "provenance", "results": 5}
    code, out, _ = check(capsys, tmp_path)
    assert code == 1
    assert "provenance: missing_fingerprint 5" in out
    assert "0.0006 ms outside 0.5 to 1.5 times the median 13.44 ms [iteration_1/torn]" in out


def test_output_is_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ForeignRunDirectory(tmp_path)
    for number in range(60):
        error = f"Correctness error: Traceback (most recent call last):\nValueError: {number} " + "x" * 5000
        run.put(f"v{number}", {"status": "INCORRECT", "error": error, "max_diff": 0.0})
    code, out, _ = check(capsys, tmp_path)
    assert code == 1
    assert "20 more results; --limit 60 shows all" in out
    assert len(out) < 30_000
    _, out, _ = check(capsys, tmp_path, "--json", "--limit", 3)
    data = json.loads(out)
    assert (len(data["variants"]), data["omitted"], data["counts"]["results"]) == (3, 57, 60)
    assert len(out) < 10_000


def test_a_strangers_text_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = (
        "Correctness error: Traceback (most recent call last):\nValueError: \x1b[2J\x9b2K [bold]red[/bold] \ud800"
    )
    ForeignRunDirectory(tmp_path).put("v\x1b[31m", {"status": "INCORRECT", "error": error, "max_diff": 0.0})
    for arguments in ((tmp_path,), (tmp_path, "--json")):
        code, out, _ = check(capsys, *arguments)
        assert code == 1
        assert not {"\x1b", "\x9b", "\ud800"} & set(out)
        assert "[bold]red[/bold]" in out


def test_a_folder_without_results_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = check(capsys, tmp_path)
    assert (code, out) == (65, "")
    assert "no results here" in err
    assert "iteration_*" in err
    assert check(capsys, tmp_path / "nowhere")[0] == 2
