"""Temporary folders: of a killed process they go with the next one's start, of a living one never."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HOME = f"cairn-{os.geteuid()}"
HOLDER = """
import sys, time
from cairn.worker.scratch import new_folder
folder = new_folder("compiler")
(folder / "dump").mkdir()
(folder / "dump" / "schedule.txt").write_text("bundles")
print(folder, flush=True)
sys.stdin.read()
"""
LAUNCH = 'from cairn.worker.scratch import new_folder; print(new_folder("oracle"))'
FORKED = """
import os
from cairn.worker.scratch import new_folder
mine = new_folder("outer")
if os.fork() == 0:
    theirs = new_folder("inner")
    assert theirs.parent != mine.parent
    raise SystemExit
os.wait()
assert mine.is_dir()
print(mine)
"""


def run(code: str, temporary: Path) -> str:
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@contextmanager
def holder(temporary: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """A process with a folder, until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], env={**os.environ, "TMPDIR": str(temporary)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


def test_a_killed_process_leaves_nothing_for_ever(tmp_path: Path) -> None:
    with holder(tmp_path) as (killed, left), holder(tmp_path) as (alive, held):
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert (left / "dump" / "schedule.txt").exists()
        run(LAUNCH, tmp_path)
        assert not left.parent.exists()
        assert (held / "dump" / "schedule.txt").exists()
        alive.send_signal(signal.SIGSTOP)
        run(LAUNCH, tmp_path)
        alive.send_signal(signal.SIGCONT)
        assert (held / "dump" / "schedule.txt").exists()
    assert list((tmp_path / HOME).iterdir()) == []


def test_a_process_that_ends_well_takes_its_folders_along(tmp_path: Path) -> None:
    folder = Path(run(LAUNCH, tmp_path))
    assert folder.parent.parent == tmp_path / HOME
    assert list((tmp_path / HOME).iterdir()) == []


def test_a_forked_child_has_its_own(tmp_path: Path) -> None:
    run(FORKED, tmp_path)
    assert list((tmp_path / HOME).iterdir()) == []


def test_a_worker_of_a_killed_judge(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from cairn.worker_process import WorkerProcess
worker = WorkerProcess(Path(sys.executable), "candidate")
worker.isolation
os.kill(os.getpid(), signal.SIGKILL)
"""
    with pytest.raises(subprocess.CalledProcessError):
        run(code, tmp_path)
    assert [path.name.split("-")[0] for path in (tmp_path / HOME).glob("*/*")] == ["candidate"]
    run(LAUNCH, tmp_path)
    assert list((tmp_path / HOME).iterdir()) == []


def test_half_made_and_half_removed_ones_go_too(tmp_path: Path) -> None:
    run(LAUNCH, tmp_path)
    for name in ("dead-a", "new-old", "new-young", "other"):
        (tmp_path / HOME / name / "inner").mkdir(parents=True)
    os.utime(tmp_path / HOME / "new-old", (time.time() - 7200,) * 2)
    run(LAUNCH, tmp_path)
    assert sorted(path.name for path in (tmp_path / HOME).iterdir()) == ["new-young", "other"]


@pytest.mark.parametrize("planted", ["link", "file"])
def test_somebody_elses_place_is_not_used(tmp_path: Path, planted: str) -> None:
    target = tmp_path / "target" / "own-precious"
    target.mkdir(parents=True)
    if planted == "link":
        (tmp_path / HOME).symlink_to(target.parent)
    else:
        (tmp_path / HOME).touch()
    assert Path(run(LAUNCH, tmp_path)).parent == tmp_path
    assert target.is_dir()


def test_a_folder_that_a_cleaner_took_is_made_again(tmp_path: Path) -> None:
    code = f"import shutil; shutil.rmtree({str(tmp_path / HOME)!r}); print(new_folder('again').is_dir())"
    assert run(f"{LAUNCH}; {code}", tmp_path).endswith("True")
