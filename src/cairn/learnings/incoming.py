"""Entries as JSON, the way an assistant writes them: for `learnings add --from` and the plan of a round."""

import datetime
from collections.abc import Sequence
from typing import IO

import msgspec

from cairn.errors import BadInput, UsageError
from cairn.learnings.edit import NewEntry
from cairn.learnings.evidence import evidence_fields
from cairn.learnings.identity import KINDS


class EntryKeys(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One entry; `related` is id to relation, `{"F003": "extends"}`."""

    type: str
    title: str
    fields: dict[str, str]
    kernel: str | None = None
    date: str | None = None
    scope: dict[str, str] = {}
    evidence: list[str] = []
    confidence: str | None = None
    related: dict[str, str] = {}

    def entry(
        self, *, kernel: str | None = None, cites: Sequence[str] = (), confidence: str | None = None
    ) -> NewEntry:
        """The entry to write. The arguments are what the helpers know, for what the entry leaves unsaid.

        Raises:
            UsageError: an unknown scope, confidence or relation, or no date.
        """
        scope = {**({"kernel": kernel} if kernel else {}), **self.scope}
        related = [(word, name) for name, word in self.related.items()]
        claims = evidence_fields(scope, [*self.evidence, *cites], self.confidence or confidence, related)
        return NewEntry(
            self.type, self.title, (*self.fields.items(), *claims), self.kernel or kernel, day(self.date)
        )


def read_entries(source: IO[bytes]) -> list[NewEntry]:
    """Entries of a JSON file.

    Raises:
        BadInput: it is no list of entries.
    """
    try:
        read = msgspec.json.decode(source.read(), type=list[EntryKeys])
    except msgspec.DecodeError as error:
        raise BadInput(str(error), path=source.name, hint="see `cairn learnings add --help`") from error
    if not read:
        raise BadInput("no entries", path=source.name)
    for entry in read:
        if entry.type not in KINDS:
            raise BadInput(f"`{entry.type}` is neither failure nor success", path=source.name, key="type")
    return [each.entry() for each in read]


def day(value: str | None) -> str:
    """A date as it is written; today when there is none.

    Raises:
        UsageError: it is no date.
    """
    if value is None:
        return datetime.date.today().isoformat()
    try:
        return datetime.date.fromisoformat(value).isoformat()
    except ValueError:
        raise UsageError(f"`{value}` is not a date", hint="write it as YYYY-MM-DD") from None
