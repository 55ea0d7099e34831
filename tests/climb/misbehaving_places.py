"""Acts of the misbehaving agent that are about places: folders without bottom, odd files, what others share."""

import contextlib
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

from misbehaviour import PROJECT, RUN, VARIANT, act, edit, shell

LOGS = os.environ.get("CAIRN_LOG_DIR", ".")
TEMPORARY = RUN / "tmp"  # as `cairn climb` sets TMPDIR; nobody's real one is touched


def dig(folder: str, name: str, depth: int) -> None:
    """Folders in folders, with a file on the way down and one at the bottom."""
    here = Path.cwd()
    try:
        os.chdir(folder)
        for level in range(depth):
            Path(name).mkdir()
            os.chdir(name)
            if level % 200 == 0:
                Path("file").touch()
        Path("bottom").touch()
    finally:
        os.chdir(here)


@act
def folders_without_bottom() -> None:
    edit(16)
    for place in (".", LOGS, str(TEMPORARY)):
        dig(place, "d", 1900)


@act
def paths_too_long_to_name() -> None:
    edit(32)
    for place in (".", LOGS):
        dig(place, "d" * 200, 60)


@act
def hundred_thousand_files() -> None:
    edit(64)
    for place in (".", LOGS):
        Path(place, "many").mkdir()
        for number in range(50_000):
            os.close(os.open(f"{place}/many/{number}", os.O_CREAT | os.O_WRONLY))


@act
def links_in_circles() -> None:
    edit(16)
    for place in (".", LOGS):
        for name, target in (("self", "self"), ("here", "."), ("root", "/"), ("up", ".."), ("a", "b"), ("b", "a")):
            Path(place, name).symlink_to(target)


@act
def variant_is_a_socket() -> None:
    VARIANT.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(VARIANT.parent)
        server.bind(VARIANT.name)


@act
def variant_is_a_device() -> None:
    shell(f"rm '{VARIANT}'; mknod '{VARIANT}' c 1 5 || cp -a /dev/zero '{VARIANT}' || ln -s /dev/zero '{VARIANT}'")


@act
def variant_is_a_link_to_itself() -> None:
    VARIANT.unlink()
    VARIANT.symlink_to(VARIANT.name)


@act
def variant_without_permissions() -> None:
    edit(32)
    VARIANT.chmod(0)


@act
def git_is_a_pipe() -> None:
    edit(64)
    shell("rm -rf .git; mkfifo .git")


@act
def git_is_a_link() -> None:
    edit(16)
    shell(f"rm -rf .git; ln -s '{PROJECT}/.git' .git; git reset -q --hard; git stash; git branch -D main")


@act
def folders_that_list_and_do_not_open() -> None:
    """Names can be read, what is behind them cannot; root does not notice."""
    edit(32)
    for place in (".", LOGS):
        (Path(place) / "shut" / "inner").mkdir(parents=True)
        (Path(place) / "shut" / "file").touch()
        (Path(place) / "shut").chmod(0o444)


@act
def logs_without_permissions() -> None:
    edit(64)
    (Path(LOGS) / "shut" / "inner").mkdir(parents=True)
    shell(f"chmod -R 000 '{LOGS}'")


@act
def logs_hold_folders() -> None:
    edit(16)
    for name in ("change.patch", "check-1.log", "prompt.md"):
        with contextlib.suppress(OSError):
            Path(LOGS, name).unlink()
        Path(LOGS, name).mkdir()
        dig(f"{LOGS}/{name}", "d", 1500)


@act
def temporary_folder_is_shut() -> None:
    edit(32)
    folder = TEMPORARY / "closed"
    (folder / "inner" / "more").mkdir(parents=True)
    shell(f"chmod -R 000 '{folder}'")


@act
def temporary_folder_is_gone() -> None:
    edit(64)
    shell(f"rm -rf '{TEMPORARY}'; mv '{TEMPORARY}' '{TEMPORARY}.moved'; echo x > '{TEMPORARY}'")


@act
def times_out_of_order() -> None:
    edit(16)
    shell("find . -type f -exec touch -d 2099-01-01 {} +; touch -d 1901-12-14 kernels; touch -d @-1 registry.json")


@act
def fills_shared_memory() -> None:
    edit(32)
    shell("head -c 200000000 /dev/zero > /dev/shm/cairn-misbehaves")


@act
def reaches_for_the_workers_folders() -> None:
    """What the judge's processes write lies in one folder of the user, outside the project."""
    edit(64)
    home = Path(tempfile.gettempdir(), f"cairn-{os.geteuid()}")  # the climb's, and so behind its fence
    shell(f"rm -rf '{home}'/*; touch '{home}/planted'")


@act
def lowers_its_limits() -> None:
    shell("umask 777; ulimit -n 8; ulimit -f 1; touch shut; mkdir locked")
    edit(16)


@act
def stops_everybody() -> None:
    edit(32)
    for pid in (os.getppid(), 1, -1):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGSTOP)


@act
def forks_and_leaves() -> None:
    """Its own descendants outlive it, each started by one that has gone."""
    edit(64)
    if os.fork() == 0:
        for _ in range(20):
            if os.fork():
                os._exit(0)
            os.setsid()
        for handle in (0, 1, 2):
            os.close(handle)
        time.sleep(1000)


@act
def waits_for_a_terminal() -> None:
    edit(16)
    with contextlib.suppress(OSError), open("/dev/tty") as terminal:  # noqa: PTH123
        terminal.readline()
    sys.stdin.readline()
