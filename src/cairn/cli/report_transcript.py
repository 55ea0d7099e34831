"""The transcript of an agent for a reader: what it said, ran and changed, out of the events its client wrote.

Clients differ and change; an event whose shape is not known is shown as the line it is. A file may hold a line of any
length, so only its two ends are read when it is large, and the page says how much is missing.
"""

import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from cairn.report.rows import Utterance

_READ_BYTES = 200_000  # of each end
_ENTRY_CHARS = 4_000
_NAMES = ("*-events.jsonl", "*events*.jsonl", "*transcript*", "*.jsonl", "*-last-message.txt")
_NOISE = {"turn.started", "thread.started", "item.started", "item.updated", "turn.completed", "session.created"}


def transcript_file(folder: Path, named: str) -> Path | None:
    """The file a ledger names, else the one that an attempt's folder seems to keep it in."""
    if named:
        path = Path(named) if Path(named).is_absolute() else folder / named
        for candidate in (folder.parent.parent / named, path):
            if _is_ordinary(candidate):
                return candidate
    return next((path for pattern in _NAMES for path in sorted(folder.glob(pattern)) if _is_ordinary(path)), None)


def _is_ordinary(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def read_utterances(path: Path) -> tuple[list[Utterance], int]:
    """What a transcript holds, and how many of its characters are left out."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= 2 * _READ_BYTES:
            parts = [file.read()]
        else:
            parts = [file.read(_READ_BYTES)]
            file.seek(size - _READ_BYTES)
            parts.append(file.read())
    found: list[Utterance] = []
    left_out = max(0, size - sum(map(len, parts)))
    for at, part in enumerate(parts):
        if at:
            found.append(Utterance(role="text", text=f"[{left_out} bytes are left out here]"))
        for line in part.decode("utf-8", "replace").splitlines():
            found += _of_line(line)
    cut = sum(max(0, len(each.text) - _ENTRY_CHARS) for each in found)
    return [_shortened(each) for each in found], left_out + cut


def open_regular(path: Path) -> BinaryIO:
    """Open a file that an agent may have put there: no link is followed, no pipe is waited for.

    Raises:
        OSError: it is not there, or no ordinary file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no ordinary file")
    return os.fdopen(descriptor, "rb")


def _shortened(entry: Utterance) -> Utterance:
    if len(entry.text) <= _ENTRY_CHARS:
        return entry
    cut = len(entry.text) - _ENTRY_CHARS
    return Utterance(role=entry.role, text=f"{entry.text[:_ENTRY_CHARS]} [{cut} characters are left out]")


def _of_line(line: str) -> Iterator[Utterance]:
    if not line.strip():
        return
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        yield Utterance(role="text", text=line)
        return
    kind = str(event.get("type", ""))
    if kind in _NOISE:
        return
    inner = event.get("item")
    item = inner if isinstance(inner, dict) else event
    text = _text_of(item)
    yield Utterance(role=_role(kind, item), text=text or json.dumps(event, ensure_ascii=False))


def _role(kind: str, item: Mapping[str, Any]) -> str:
    words = f"{kind} {item.get('type', '')} {item.get('role', '')}".lower()
    for role, signs in (
        ("error", ("error", "failed")),
        ("reasoning", ("reasoning", "thinking")),
        ("command", ("command", "tool", "function_call", "exec")),
        ("file", ("file_change", "patch")),
        ("message", ("message", "assistant", "text", "result")),
    ):
        if any(sign in words for sign in signs):
            return role
    return "text"


def _text_of(item: Mapping[str, Any]) -> str:
    """The words of an event: the fields in which the clients keep them, commands with their output."""
    if "command" in item:
        command = item["command"]
        shown = " ".join(map(str, command)) if isinstance(command, list) else str(command)
        output = item.get("aggregated_output") or item.get("output") or ""
        code = item.get("exit_code")
        return f"$ {shown}\n{output}" + (f"\n[exit code {code}]" if code not in (None, 0) else "")
    for name in ("text", "message", "content", "result", "summary", "changes"):
        if (text := _flat_text(item.get(name))).strip():
            return text
    return ""


def _flat_text(value: object, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth < 4:
        return "\n".join(filter(None, (_flat_text(each, depth + 1) for each in value)))
    if isinstance(value, dict) and depth < 4:
        named = [value[name] for name in ("text", "content", "input", "path", "kind") if name in value]
        return " ".join(filter(None, (_flat_text(each, depth + 1) for each in named))) or json.dumps(value)
    return ""
