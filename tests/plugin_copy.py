"""The pack as an assistant's plugin cache holds it: tracked files, no links, read-only, a folder with an odd name."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# what a user's clone has and an installed plugin does not need; copying it would only take time
_LEFT_OUT = ("tests/", "benchmarks/", "uv.lock", ".ci/")


def copy_pack(folder: Path) -> Path:
    """Copy the working tree's files to a folder; give it back."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    names = [name for name in listed.stdout.decode().split("\0") if name and not name.startswith(_LEFT_OUT)]
    for name in names:
        source, copy = ROOT / name, folder / name
        if source.is_file() and not source.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    return folder


def make_read_only(folder: Path) -> None:
    """Take the right to write from everything; the superuser still could, so look at `listing` too."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below a folder with size and time: equal before and after means untouched."""
    return {
        os.fspath(path): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
