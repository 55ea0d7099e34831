"""Plans: what a retrospective wants to write, as a file with an id, and never more than that until somebody approves.

A change says what to do, not which bytes to write, so that it is worked out again on the files as they are when it is
applied: entries that stand already are not added twice, and foreign lines stay.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from cairn.errors import BadInput, Missing
from cairn.journal import write_atomic
from cairn.registry import Registry
from cairn.retro.guide import GuideEntry, entry_text, read_guide
from cairn.retro.log_entry import Draft, insert_entry
from cairn.retro.skillfile import NAME, skill_folders
from cairn.retro.sources import guide_path, log_path
from cairn.text.diff import unified

SKILL, GUIDE, LOG, REGISTRY = "skill", "guide", "log", "registry"
_ID = re.compile(r"P-[0-9a-f]{10}")


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change: its kind, the name it is about, and its content; `before`: hash of the skill it was written for."""

    kind: str
    name: str = ""
    text: str = ""
    before: str | None = None
    data: dict[str, Any] = {}
    why: str = ""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """Proposed changes. The id is a hash of them: the same proposal has the same id."""

    subject: str
    created: str
    changes: list[Change]
    sources: list[str] = []
    notes: list[str] = []

    @property
    def id(self) -> str:
        data = msgspec.json.encode([self.subject, self.changes])
        return "P-" + hashlib.sha256(data).hexdigest()[:10]


def plans_folder(root: Path) -> Path:
    return root / ".cairn" / "retro" / "plans"


def save_plan(registry: Registry, plan: Plan) -> Path:
    """Write a plan and the preview of its patch; gives the plan's path."""
    folder = plans_folder(registry.root)
    path = folder / f"{plan.id}.json"
    write_atomic(path, json.dumps(msgspec.to_builtins(plan), indent=1, ensure_ascii=False) + "\n")
    write_atomic(folder / f"{plan.id}.patch", preview(registry, plan))
    return path


def load_plan(root: Path, plan_id: str) -> Plan:
    """A plan by its id.

    Raises:
        Missing: there is none.
        BadInput: it was edited by hand, so that it is not what somebody approved.
    """
    if not _ID.fullmatch(plan_id):
        raise BadInput(
            f"`{plan_id}` is no id of a plan", hint="ids look like P-0123456789; `cairn retro propose` prints them"
        )
    path = plans_folder(root) / f"{plan_id}.json"
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    except FileNotFoundError:
        known = ", ".join(sorted(each.stem for each in plans_folder(root).glob("P-*.json"))) or "none"
        raise Missing(f"there is no plan {plan_id}", hint=f"plans here: {known}") from None
    except (msgspec.DecodeError, OSError) as error:
        raise BadInput(str(error), path=path, hint="propose it again") from error
    if plan.id != plan_id:
        raise BadInput(
            "the plan was changed after it was proposed",
            path=path,
            hint="propose it again, show it, and approve the new id",
        )
    return plan


def files_of(
    registry: Registry, plan: Plan, only: Iterable[int] | None = None
) -> Iterator[tuple[Path, str | None, str]]:
    """Path, text as it is (None: not there) and text to be, for every file that a plan touches.

    Raises:
        BadInput: a change that no plan of ours holds.
    """
    chosen = set(only) if only is not None else set(range(1, len(plan.changes) + 1))
    texts: dict[Path, tuple[str | None, str]] = {}
    for number, change in enumerate(plan.changes, 1):
        if number not in chosen:
            continue
        for path in targets(registry, change):
            before = texts[path][0] if path in texts else _read(path)
            current = texts[path][1] if path in texts else before
            texts[path] = (before, changed(registry, change, current or ""))
    for path, (before, after) in texts.items():
        if before != after:
            yield path, before, after


def targets(registry: Registry, change: Change) -> list[Path]:
    """The files that a change of this kind writes; worked out here, never taken from the plan.

    Raises:
        BadInput: a name or kind that is not allowed.
    """
    if change.kind == SKILL:
        if not NAME.fullmatch(change.name) or len(change.name) > 64:
            raise BadInput(f"`{change.name}` is no name of a skill")
        paths = [folder / change.name / "SKILL.md" for folder in skill_folders(registry.root)]
        return list({_place(path): path for path in paths}.values())
    if change.kind == GUIDE:
        return [guide_path(registry)]
    if change.kind == LOG and (path := log_path(registry)):
        return [path]
    if change.kind == REGISTRY and registry.path is not None:
        return [registry.path]
    raise BadInput(f"`{change.kind}` is no change that can be applied here")


def _place(path: Path) -> Path:
    """The real place of a file, also of one that is not there yet: two folders may be one through a link."""
    return path.parent.parent.resolve() / path.parent.name / path.name


def changed(registry: Registry, change: Change, text: str) -> str:
    """The text of a file with one change made; the same text when it is made already."""
    if change.kind == SKILL:
        return change.text
    if change.kind == LOG:
        return insert_entry(text, msgspec.convert(change.data, Draft))
    if change.kind == GUIDE:
        return add_guide_entry(text, change.data)
    return add_to_registry(text, change.name, change.data, registry.path)


def add_guide_entry(text: str, data: dict[str, Any]) -> str:
    """The guide with one more entry, in its own form."""
    guide = read_guide(text)
    entry = GuideEntry(str(data["pattern"]), str(data["symptom"]), str(data["cause"]), str(data["solution"]), 0)
    if any(each.pattern.casefold() == entry.pattern.casefold() for each in guide.entries):
        return text
    newline = "\r\n" if "\r\n" in text else "\n"
    block = entry_text(guide, entry, str(data["date"]), str(data["domain"])).replace("\n", newline)
    if not text.strip():
        return f"# Troubleshooting Guide{newline}{block}"
    lines = text.splitlines(keepends=True)
    at = guide.insert_before - 1
    before = "".join(lines[:at])
    if before and not before.endswith(("\n", "\r")):
        before += newline
    return before + block + "".join(lines[at:])


def add_to_registry(text: str, name: str, data: dict[str, Any], path: Path | None) -> str:
    """The registry with one skill; its other keys, their order and its indentation stay.

    Raises:
        BadInput: the registry is no JSON object.
    """
    try:
        registry = json.loads(text)
    except ValueError as error:
        raise BadInput(f"not JSON: {error}", path=path) from error
    if not isinstance(registry, dict) or not isinstance(registry.setdefault("skills", {}), dict):
        raise BadInput("`skills` is no object", path=path)
    if registry["skills"].get(name) == data:
        return text
    registry["skills"][name] = {**registry["skills"].get(name, {}), **data}
    indent = re.search(r"\n([ \t]+)\"", text)
    written = json.dumps(registry, indent=indent[1] if indent else 2, ensure_ascii=False)
    return written + ("\n" if text.endswith("\n") else "")


def preview(registry: Registry, plan: Plan, only: Sequence[int] | None = None) -> str:
    """The patch that applying a plan would make now."""
    parts = []
    for path, before, after in files_of(registry, plan, only):
        name = path.relative_to(registry.root).as_posix() if path.is_relative_to(registry.root) else path.name
        parts.append(unified(before or "", after, name, exists=before is not None))
    return "".join(parts)


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(
            f"cannot be changed: {error}", path=path, hint="only UTF-8 text can be edited in place"
        ) from error
