"""Carry out a plan step by step: AGENT.md, the comment's text, the commit. Each is announced and confirmed.

Every step is one line in `record.jsonl` of the round before it and one after. A repeat after a kill looks at what is
there instead of believing the last line: a file that holds the new text is not written again, a commit that was made
is found again, a comment is known by its marker.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairn.errors import UsageError
from cairn.journal import Journal, write_atomic
from cairn.learnings.edit import Edit
from cairn.learnings.history import ids_in_history
from cairn.learnings.parse import read_text
from cairn.learnings.store import archived_ids, preview, read_document, writer
from cairn.rounds.comment import render, run_id, with_markers
from cairn.rounds.commit import Commit, commit_files, is_dirty, message_for
from cairn.rounds.digest import Digest
from cairn.rounds.plan import Plan, apply_plan, learned, notable, written_blocks

JOURNAL, COMMENT = "record.jsonl", "comment.md"
SCHEMA = 1


def _silent(step: str) -> None:
    """Says nothing."""


@dataclass
class Recording:
    """One round being recorded. `announce` hears of every step; `private` are words that must not be sent."""

    plan: Plan
    digest: Digest
    agent_md: Path
    announce: Callable[[str], None] = _silent
    private: tuple[str, ...] = ()
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.digest.round.folder / JOURNAL)

    def begin(self) -> None:
        """Announce the plan; a repeat of the same plan goes on where it stopped.

        Raises:
            UsageError: another plan was written for this round already.
        """
        records = self.journal.read().records
        plans = [record["plan"] for record in records if record.get("event") == "plan"]
        before = last(records, "learnings.before")  # a kill may have come before it was confirmed
        written = last(records, "learnings.done") or (before and _holds(self.agent_md, before["blocks"]))
        if plans and plans[-1] != self.plan.sha and written:
            raise UsageError(
                f"round {self.digest.round.number} is recorded already, with another plan",
                hint="use `cairn learnings add` or `extend` for what is still to be said",
            )
        if not plans or plans[-1] != self.plan.sha:
            self._note("plan", plan=self.plan.sha, schema=SCHEMA)

    def write_learnings(self) -> tuple[str, ...]:
        """Write AGENT.md once, for the whole plan; give the ids that are new or were extended."""
        path = self.agent_md.resolve()
        if done := last(self._records(), "learnings.done"):
            return tuple(done["ids"])
        path.parent.mkdir(parents=True, exist_ok=True)
        elsewhere = [*ids_in_history(path), *archived_ids(path)]
        with writer(path):
            if (before := last(self._records(), "learnings.before")) and _holds(path, before["blocks"]):
                return self._written(before["ids"], before["dirty"])
            edit = preview(path, lambda text: apply_plan(text, self.plan, self.digest, elsewhere))
            blocks = written_blocks(edit.before, edit.after, edit.ids)
            dirty = is_dirty(path)
            self._note("learnings.before", ids=list(edit.ids), blocks=blocks, dirty=dirty)
            if edit.after != edit.before:
                write_atomic(path, edit.after)
            self.announce("AGENT.md is written")
            return self._written(edit.ids, dirty)

    def _written(self, ids: Sequence[str], dirty: bool) -> tuple[str, ...]:
        self._note("learnings.done", ids=list(ids), dirty=dirty)
        return tuple(ids)

    def write_comment(self, ids: Sequence[str]) -> list[Path]:
        """Write the comment's text, redacted and with its marker; nothing is sent."""
        body, taken = render(
            self.digest, learned(self.plan, ids), notable(self.plan), self.digest.run.lineages, self.private
        )
        paths = write_comment(self.digest, body)
        if last(self._records(), "comment.written", sha=_sha(body)) is None:
            names = [path.name for path in paths]
            self._note(
                "comment.written", files=names, sha=_sha(body), redacted=sorted({each.kind for each in taken})
            )
        return paths

    def commit(self, ids: Sequence[str]) -> Commit:
        """Commit AGENT.md, if this round changed it."""
        if done := last(self._records(), "commit.done"):
            return Commit(done["commit"], done["reason"])
        if not ids:
            result = Commit(None, "AGENT.md did not change")
        else:
            self._note("commit.before")
            message = message_for(self.plan.keys.kernel or self.digest.kernel, self.digest.round.number)
            result = commit_files([self.agent_md.resolve()], message)
            self.announce("the commit is made")
        if not result.pending:
            self._note("commit.done", commit=result.id, reason=result.reason)
        return result

    def posted(self, url: str) -> None:
        """Remember where the comment stands."""
        if last(self._records(), "comment.posted", url=url) is None:
            self._note("comment.posted", url=url)

    def _records(self) -> list[dict[str, Any]]:
        """What was done for this plan."""
        records = self.journal.read().records
        at = max((at for at, record in enumerate(records) if record.get("event") == "plan"), default=0)
        return records[at:]

    def _note(self, event: str, **facts: Any) -> None:
        self.journal.append({"event": event, **facts})
        self.announce(event)


def preview_learnings(plan: Plan, digest: Digest, agent_md: Path) -> Edit:
    """What the plan would make of AGENT.md; writes nothing."""
    elsewhere = [*ids_in_history(agent_md), *archived_ids(agent_md)]
    return preview(agent_md, lambda text: apply_plan(text, plan, digest, elsewhere))


def write_comment(digest: Digest, body: str) -> list[Path]:
    """Write a comment's parts beside the round's other files: `comment.md`, further ones with their number."""
    paths = []
    for at, text in enumerate(with_markers(body, run_id(digest), digest.round.number), start=1):
        path = digest.round.folder / (COMMENT if at == 1 else f"comment_{at}.md")
        if not path.is_file() or read_text(path) != text:
            write_atomic(path, text)
        paths.append(path)
    return paths


def last(records: Sequence[dict[str, Any]], event: str, **facts: Any) -> dict[str, Any] | None:
    """The last record of an event, or of one with certain facts."""
    wanted = {"event": event, **facts}
    found = [record for record in records if all(record.get(key) == value for key, value in wanted.items())]
    return found[-1] if found else None


def _holds(path: Path, blocks: Sequence[str]) -> bool:
    text = read_document(path).markdown.text
    return bool(blocks) and all(block in text for block in blocks)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
