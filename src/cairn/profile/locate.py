"""Find the trace that is meant: a file, or the newest recording below a folder; and read it."""

import hashlib
from pathlib import Path

from cairn.errors import BadInput, Missing
from cairn.profile.timeline import Timeline
from cairn.profile.trace_json import read_trace_json
from cairn.profile.xplane import read_xplane

# by preference: XSpace is complete, JSON is an excerpt of it
SUFFIXES = (".xplane.pb", ".xplane.pb.gz", ".trace.json.gz", ".trace.json", ".json.gz", ".json")
_SURE = 3  # endings that nothing but a trace has
_MOST_BYTES = 4 * 2**30


def find_trace(path: Path) -> Path:
    """The trace file itself; below a folder, that of the newest recording, XSpace before JSON.

    Raises:
        Missing: nothing there.
        BadInput: one recording with several hosts, so that one has to be named.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise Missing(f"{path} does not exist", hint="name a trace file, or the folder given to jax.profiler")
    found = [file for file in sorted(path.rglob("*")) if file.is_file() and _rank(file) <= _SURE]
    if not found:
        wanted = "*.xplane.pb or *.trace.json.gz"
        raise Missing(f"no {wanted} below {path}", hint="cairn profile capture makes one")
    newest = max({file.parent for file in found}, key=lambda folder: (_made(folder, found), folder.name))
    files = [file for file in found if file.parent == newest]
    best = min(_rank(file) for file in files)
    chosen = [file for file in files if _rank(file) == best]
    if len(chosen) > 1:
        names = ", ".join(file.name for file in chosen[:6])
        raise BadInput(f"{len(chosen)} hosts in one recording: {names}", path=newest, hint="name one of the files")
    return chosen[0]


def _made(folder: Path, files: list[Path]) -> int:
    return max(file.stat().st_mtime_ns for file in files if file.parent == folder)


def _rank(path: Path) -> int:
    return next((at for at, suffix in enumerate(SUFFIXES) if path.name.endswith(suffix)), len(SUFFIXES))


def read_trace(path: Path) -> Timeline:
    """Read a trace of either format, told apart by the file's name.

    Raises:
        Missing: not there, or protobuf is not installed. BadInput: not a trace.
    """
    file = find_trace(path)
    size = file.stat().st_size
    if size == 0:
        raise BadInput("an empty file", path=file, hint="was the recording stopped? jax.profiler.stop_trace()")
    if size > _MOST_BYTES:
        raise BadInput(f"{size / 2**30:.1f} GiB is more than can be read", path=file, hint="record fewer steps")
    data = file.read_bytes()
    is_xplane = ".xplane.pb" in file.name
    timeline = Timeline(file, "xplane" if is_xplane else "trace.json", hashlib.sha256(data).hexdigest())
    (read_xplane if is_xplane else read_trace_json)(timeline, data)
    return timeline
