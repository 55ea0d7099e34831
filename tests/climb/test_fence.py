"""The fence round a project: what an agent behind it can write, and that its own sandbox still works there."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from cairn.fence import Fence, fence_level, own_code
from workspace import Workspace

pytestmark = pytest.mark.skipif(fence_level() != "fenced", reason="this kernel gives no namespaces")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "own").mkdir(parents=True)
    return tmp_path / "project"


def behind(project: Path, command: str) -> subprocess.CompletedProcess[str]:
    own = project / "own"
    line = Fence([project], [own], file_bytes=2**20).around(["/bin/sh", "-c", command])
    return subprocess.run(
        line, cwd=own, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def test_its_own_folder_is_writable_and_the_project_is_not(project: Path) -> None:
    done = behind(project, "touch here; touch ../there; mkdir ../folder; rm -rf ../own; exit 7")
    assert done.returncode == 7
    assert done.stderr.count("Read-only file system") == 3
    assert [path.name for path in project.iterdir()] == ["own"]


@pytest.mark.parametrize(
    "escape",
    [
        "umount {project}",
        "mount -o remount,rw,bind {project}",
        "unshare -Urm sh -c 'umount {project}; mount -o remount,rw,bind {project}; touch {project}/x'",
        "nsenter -t 1 -m touch {project}/x",
        "ln -s {project}/x link; echo x > link",
        "cd /proc/self/cwd/..; touch x",
    ],
)
def test_no_way_round_it(project: Path, escape: str) -> None:
    behind(project, f"{escape.format(project=project)}; touch {project}/x")
    assert [path.name for path in project.iterdir()] == ["own"]


def test_a_sandbox_inside_still_works(project: Path) -> None:
    """Coding assistants run their model's commands in a user namespace of their own, also as root."""
    plain = subprocess.run(["unshare", "-U", "--map-current-user", "true"], capture_output=True, check=False)
    if plain.returncode:
        pytest.skip("no user namespaces here")
    done = behind(project, "unshare -U --map-current-user sh -c 'touch inner'; id -u")
    assert done.stdout.strip() == str(os.getuid()), done.stderr
    assert (project / "own" / "inner").exists(), done.stderr


def test_nobody_outside_is_signalled(project: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as bystander:
        behind(project, f"kill -9 {bystander.pid} {os.getpid()}; kill -9 -1")
        assert bystander.poll() is None
        bystander.kill()


def test_a_fork_bomb_has_an_end(project: Path) -> None:
    own = project / "own"
    # waits and counts without another process: there is no room for one, and bash would try again for long
    wait = "while [ ! -s errors ] && [ $SECONDS -lt 20 ]; do :; done"
    bomb = f"sh -c 'while true; do sleep 30 & done' 2>>errors & {wait}; set -- /proc/[0-9]*; echo $#"
    line = Fence([project], [own], processes=350).around(["/bin/bash", "-c", bomb])
    done = subprocess.run(line, cwd=own, stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False)
    assert not [each for each in psutil.process_iter(["cwd"]) if str(own) in (each.info["cwd"] or "")]
    assert 300 < int(done.stdout) <= 350


def test_the_judges_code_and_memory_are_out_of_reach(project: Path, tmp_path: Path) -> None:
    memory = tmp_path / "cache"
    memory.mkdir()
    files = [f"{place}/evil.py" for place in (*own_code(), memory)]
    line = Fence([project, memory, *own_code()], [project / "own"]).around(["touch", *files])
    done = subprocess.run(line, cwd=project / "own", capture_output=True, timeout=60, check=False)
    assert done.returncode == 1
    assert not [file for file in files if Path(file).exists()]


def test_files_have_a_largest_size(project: Path) -> None:
    behind(project, "head -c 3000000 /dev/zero > big")
    assert (project / "own" / "big").stat().st_size <= 2**20


def test_what_everybody_shares_stays_as_it_is(project: Path) -> None:
    """Control groups can freeze the climb, and shared memory outlives a process; the kernel's choice is the agent."""
    done = behind(
        project,
        "for place in /sys/fs/cgroup /sys/fs/cgroup/*; do test -w $place && echo $place; done;"
        " head -c 1000000 /dev/zero > /dev/shm/cairn-fence-test && echo written; cat /proc/self/oom_score_adj",
    )
    assert done.stdout.split() == ["written", "800"], done
    assert not Path("/dev/shm/cairn-fence-test").exists()


def test_shared_segments_and_queues_end_with_whoever_made_them(project: Path) -> None:
    """Those of System V belong to no process: outside a namespace of their own they would stay for ever."""
    before = [Path(f"/proc/sysvipc/{kind}").read_text() for kind in ("shm", "sem", "msg")]
    done = behind(project, "ipcmk -M 4096 && ipcmk -S 2 && ipcmk -Q")
    assert done.stdout.count("id: ") == 3, done
    assert [Path(f"/proc/sysvipc/{kind}").read_text() for kind in ("shm", "sem", "msg")] == before


def test_a_project_in_memory_is_fenced_as_well() -> None:
    with tempfile.TemporaryDirectory(prefix="cairn-fence-test-", dir="/dev/shm") as name:
        own = Path(name) / "own"
        own.mkdir()
        done = behind(Path(name), "touch here; touch ../there")
        assert [path.name for path in Path(name).rglob("*")] == ["own", "here"], done


def test_a_climb_that_an_agent_begins_in_the_project_says_why_it_cannot(workspace: Workspace) -> None:
    program = [sys.executable, "-c", "from cairn.cli.main import main; main()"]
    climb = ["climb", "kernels/axpy", "--agent", "command", "--agent-command", "true"]
    done = subprocess.run(
        Fence([workspace.root], []).around([*program, *climb]),
        cwd=workspace.root, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 69
    assert "Traceback" not in done.stderr
    assert "Read-only file system\n  fix: let your user" in done.stderr
