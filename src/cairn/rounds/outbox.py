"""Comments that could not be sent yet: one file each, replaced when the same comment is queued again."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cairn.errors import BadInput
from cairn.journal import write_atomic
from cairn.rounds.comment import marker_of

SCHEMA = 1


@dataclass(frozen=True)
class Letter:
    """A comment on its way. `source`: the file it came from, so that its round hears of the sending."""

    api: str
    repo: str
    issue: int
    public: bool
    body: str
    source: str

    @property
    def name(self) -> str:
        """The same for the same comment of the same run."""
        address = f"{self.api} {self.repo} {self.issue} {marker_of(self.body)}"
        return hashlib.sha256(address.encode()).hexdigest()[:16] + ".json"


def put(folder: Path, letter: Letter) -> Path:
    """Queue a comment."""
    path = folder / letter.name
    write_atomic(path, json.dumps({"schema": SCHEMA, **asdict(letter)}, indent=2, ensure_ascii=False) + "\n")
    return path


def letters(folder: Path) -> Iterator[tuple[Path, Letter]]:
    """What is queued, in the order of the files' names.

    Raises:
        BadInput: a file there is no letter.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            schema = data.pop("schema")
            letter = Letter(**data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BadInput(
                f"not a queued comment: {error}", path=path, hint="remove it, then flush again"
            ) from error
        if schema != SCHEMA:
            raise BadInput(f"schema {schema} is not known", path=path, key="schema")
        yield path, letter
