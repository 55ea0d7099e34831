"""Recordings that `cairn profile capture` made of the champion, for the prompt of a climb that measures.

Before the first `KEEP` no receipt holds a recording. One that a person made lies in `.profiles` of the project and
names the text that it is of, so it cannot be taken for another variant's.
"""

import functools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from cairn.errors import CairnError
from cairn.profile.brief import brief
from cairn.profile.locate import read_trace
from cairn.profile.summary import record, summarize

FOLDER = ".profiles"
_MOST_LOOKED_AT = 200
_MOST_BYTES = 64 * 2**20  # a prompt does not wait for more to be read


def newest_recording(project: Path, digest: str, target: str) -> dict[str, Any] | None:
    """The brief of the newest recording of a variant's text on a target; None when there is none that can be read."""
    about = sorted((project / FOLDER).glob("*/recording.json"), key=lambda path: path.parent.name)
    matching = [path for path in about[-_MOST_LOOKED_AT:] if _told(path) == (digest, target)]
    newest = max(matching, key=lambda path: path.stat().st_mtime_ns, default=None)
    return None if newest is None else _brief_of(newest.parent, newest.stat().st_mtime_ns)


def _told(path: Path) -> tuple[str, str] | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads(path.read_text(encoding="utf-8"))
        return str(told["digest"]), str(told["target"])
    return None


@functools.lru_cache(maxsize=8)
def _brief_of(folder: Path, written: int) -> dict[str, Any] | None:
    """Read once for each recording, not once for each attempt."""
    del written
    if sum(file.stat().st_size for file in folder.iterdir() if file.is_file()) > _MOST_BYTES:
        return None
    try:
        return brief(record(summarize(read_trace(folder))))
    except (CairnError, OSError):
        return None
