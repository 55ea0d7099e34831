"""`cairn profile fetch wandb:...` with W&B's own client against a service on loopback."""

import os
import subprocess
import sys
from pathlib import Path

from wandb_service import KEY, FakeWandb, serving

FILES = {
    "profile-a": {
        "plugins/profile/t1/host.trace.json.gz": b"a trace",
        "plugins/profile/t1/host.xplane.pb": b"a large plane",
        "notes.txt": b"nothing to see",
    },
    "profile-b": {"plugins/profile/t2/host.trace.json.gz": b"another trace"},
}


def fetch(url: str, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own: the client keeps a service running, and warns."""
    program = "from cairn.cli.main import main; main()"
    environment = {**os.environ, "WANDB_BASE_URL": url, "WANDB_API_KEY": KEY, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, "-c", program, "profile", "fetch", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_artifacts_of_a_run(tmp_path: Path) -> None:
    fake = FakeWandb(FILES)
    with serving(fake) as url:
        done = fetch(url, tmp_path, "wandb:me/kernels/run-1")
        assert done.returncode == 0, done.stderr
        found = {Path(line): (tmp_path / line).read_bytes() for line in done.stdout.splitlines()}
        below = Path(".profiles/wandb/run-1")
        assert found == {
            below / f"{name}-v3" / path: content
            for name, files in FILES.items()
            for path, content in files.items()
            if path.endswith(".trace.json.gz")
        }
        assert len(fake.fetched) == 2, "planes and notes are not even downloaded"

        done = fetch(
            url, tmp_path, "wandb:me/kernels/run-1", "--include-xplane", "--pattern", "*.pb", "--out", "x"
        )
        assert [Path(line).name for line in done.stdout.splitlines()] == ["host.xplane.pb"]

        done = fetch(url, tmp_path, "wandb:me/kernels/run-1", "--pattern", "*.csv")
        assert done.returncode == 69
        assert "its artifacts have 4 files" in done.stderr

        done = fetch(url, tmp_path, "wandb:me/kernels/run-2")
        assert done.returncode == 69, done.stderr
        assert "run-2" in done.stderr
        assert "Traceback" not in done.stderr
    assert fake.unknown == []


def test_a_file_that_would_leave_its_artifact(tmp_path: Path) -> None:
    fake = FakeWandb({"profile": {"../../../evil.trace.json.gz": b"x"}})
    with serving(fake) as url:
        done = fetch(url, tmp_path, "wandb:me/kernels/run-1")
    assert done.returncode == 65, done.stderr
    assert "outside" in done.stderr
    assert not list(tmp_path.rglob("evil*"))


def test_what_is_no_run(tmp_path: Path) -> None:
    done = fetch("http://127.0.0.1:1", tmp_path, "wandb:run-1")
    assert done.returncode == 2
    assert "ENTITY/PROJECT/RUN_ID" in done.stderr
