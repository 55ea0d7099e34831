"""Read a YAML or JSON file into a typed structure; say file, line, key and likely fix when it does not fit."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from cairn.errors import BadInput, Missing

T = TypeVar("T")
_PATH = re.compile(r"(?P<what>.*?) - at `(?P<path>\$[^`]*)`$", re.S)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]+)`")


class Source:
    """A parsed settings file that remembers on which line each key stands."""

    def __init__(self, path: Path, *, missing_hint: str | None = None) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise Missing(f"{path} does not exist", hint=missing_hint) from error
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot be read as text: {error}", path=path) from error
        self.data: Any = _json(path, text) if path.suffix == ".json" else None
        try:
            # JSON is YAML but for its tabs, which here only serve to find lines
            self._node = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
            if self.data is None:
                self.data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            what = str(getattr(error, "problem", None) or error)
            line = mark.line + 1 if mark else None
            raise BadInput(f"not valid YAML: {what}", path=path, line=line) from error
        if not isinstance(self.data, dict):
            raise BadInput("expected a mapping of keys to values", path=path, line=1)

    def line(self, steps: Sequence[str | int]) -> int | None:
        """The 1-based line of a key or item, or of the nearest enclosing one that exists."""
        node, line = self._node, None
        for step in steps:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return line

    def error(self, message: str, *steps: str | int, hint: str | None = None) -> BadInput:
        """An error that points at the key `steps` of this file."""
        key = ".".join(str(step) for step in steps) or None
        return BadInput(message, path=self.path, line=self.line(steps), key=key, hint=hint)

    def to(self, type_: type[T], section: Sequence[str] = ()) -> T:
        """Convert the file, or one section of it, to a msgspec structure.

        Raises:
            BadInput: a value has the wrong type, a key is missing, or a key is unknown where none may be.
        """
        data = self.data
        for step in section:
            data = data[step]
        try:
            return msgspec.convert(data, type_)
        except msgspec.ValidationError as error:
            raise self._explain(error, type_, section) from error

    def _explain(self, error: msgspec.ValidationError, type_: Any, section: Sequence[str]) -> BadInput:
        match = _PATH.match(str(error))
        what = match["what"] if match else str(error)
        steps: list[str | int] = list(section)
        for name, index in _STEP.findall(match["path"] if match else ""):
            steps.append(name or (0 if index == "..." else int(index)))
        hint = None
        if unknown := _UNKNOWN.search(what):
            steps.append(unknown["name"])
            hint = did_you_mean(unknown["name"], _all_fields(type_))
        return self.error(what[:1].lower() + what[1:], *steps, hint=hint)


def _json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(f"not valid JSON: {error.msg}", path=path, line=error.lineno) from error


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """A hint naming the closest known word, or all of them when they are few, or None."""
    from rapidfuzz import process as fuzzy  # 30 ms to import, and only mistakes need it

    close = fuzzy.extractOne(word, known, score_cutoff=70)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known: {', '.join(sorted(known))}" if 0 < len(known) <= 20 else None


def _child(node: Any, step: str | int) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if str(key.value) == str(step):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        item = node.value[step]
        return item.start_mark.line + 1, item
    return None


def _all_fields(type_: Any) -> list[str]:
    """Every key that a structure and the structures inside it know: good enough to recognise a typo."""
    names: list[str] = []
    pending = [msgspec.inspect.type_info(type_)]
    while pending:
        info = pending.pop()
        for field in getattr(info, "fields", ()):
            names.append(field.encode_name)
            pending.append(field.type)
        pending.extend(
            inner
            for inner in (getattr(info, "value_type", None), getattr(info, "item_type", None))
            if inner is not None
        )
    return names
