"""The way of one attempt: plan, edit, commit, judge, post-check, decide, record.

Each step is in the ledger before it happens and after it, and each can be taken again from what is there: after a
kill the next launch looks at the phase and goes on. Only the edit itself is not repeated, because nobody knows how
far it came.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cairn.agents.protocol import Agent, EditOutcome, EditTask, Trial
from cairn.climb import policy
from cairn.climb.bench import Job, is_disk_trouble, judged_fields
from cairn.climb.checks import run_checks
from cairn.climb.claims import claim_fields, clean
from cairn.climb.climb_log import number_of, write_log
from cairn.climb.crew import Begun, Crew, Judged
from cairn.climb.desk import Desk
from cairn.climb.ends import counts_as_failure
from cairn.climb.failures import AGENT, DISK, INFRA, RATE_LIMIT, class_of_agent
from cairn.climb.likeness import likeness_of
from cairn.climb.message import candidate_message, commit_message
from cairn.climb.planning import task_for
from cairn.climb.state import Attempt
from cairn.climb.storage import bound_attempt
from cairn.climb.worktrees import Edit, remove_tree
from cairn.errors import BadInput, CairnError
from cairn.judge.record import headline
from cairn.learnings.signature import signature

_MOST_TAMPERED = 100
_NO_ROOM = "the agent left hardly any room to write; what it wrote was removed"


class Phases:
    """Takes attempts from one phase to the next. Everything but `edit` runs in the main thread."""

    def __init__(self, desk: Desk, agent: Agent, crew: Crew) -> None:
        self._desk = desk
        self._agent = agent
        self._crew = crew

    def plan(self, **fields: Any) -> Attempt:
        """Announce an attempt; `fields` name its parent, lineage, round, variant and direction in a round."""
        desk = self._desk
        assert desk.state.champion is not None
        attempt_id = desk.state.next_id()
        parent = fields.pop("parent", desk.state.champion)
        epoch = f"{desk.state.environments}:{parent}"
        desk.write(
            "attempt.planned", attempt=attempt_id, parent=parent, agent=self._agent.name, epoch=epoch, **fields
        )
        return desk.state.attempts[attempt_id]

    def prepare(self, attempt: Attempt, siblings: Sequence[Trial] = ()) -> EditTask:
        """A folder and a prompt for an attempt; the edit is announced."""
        tree = self._desk.worktrees.open(attempt.id, attempt.parent)
        task = task_for(self._desk, self._crew.problem(), attempt, tree, siblings)
        self._desk.write("attempt.editing", attempt=attempt.id)
        return task

    def edit(self, task: EditTask) -> tuple[EditOutcome, float]:
        """Let the agent work; trouble of the machine is an outcome as well. Safe in any thread."""
        started = time.monotonic()
        try:
            outcome = self._agent.edit(task)
        except (OSError, CairnError) as error:
            kind = "disk" if is_disk_trouble(error) else "agent_error" if isinstance(error, BadInput) else "infra"
            outcome = EditOutcome("failed", reason=kind, detail=str(error))
        ended_for = self._desk.control.last_why if outcome.reason == "cancelled" else ""
        if ended_for == "disk" and self._desk.spec.batch is None:  # of several nobody knows who filled it
            outcome = replace(outcome, reason="disk", detail=_NO_ROOM)
        return outcome, time.monotonic() - started

    def record_edit(self, attempt: Attempt, outcome: EditOutcome, seconds: float) -> None:
        """Read what the agent left, and let its folder go; that comes first when the disk is full of it."""
        desk = self._desk
        full = outcome.reason == "disk" or desk.control.disk_is_full()
        edit = self._make_room(attempt) if full else self._edit_of(attempt)
        failure, detail = self._trouble(outcome, edit)
        if full and failure != DISK:
            failure, detail = DISK, _NO_ROOM
        usable = outcome.status == "edited" and not failure
        text = desk.git.read_blob(edit.blob) if edit.blob else b""
        likeness, nodes = likeness_of(text) if edit.blob else ("", None)
        desk.write(
            "attempt.edited",
            attempt=attempt.id,
            status=outcome.status,
            **claim_fields(outcome),
            failure=failure,
            detail=clean(detail),
            signature=signature(f"{outcome.reason}: {detail}") if failure else "",
            blob=edit.blob if usable else None,
            likeness=likeness,
            nodes=nodes,
            tunables=desk.tunables(text) if edit.blob else {},
            tampered=[clean(path, 300) for path in edit.tampered[:_MOST_TAMPERED]] if usable else [],
            extra=[clean(path, 300) for path in edit.extra],
            agent_s=round(seconds, 3),
            transcript=self._relative(outcome.transcript),
        )
        desk.worktrees.close(attempt.id)

    def _edit_of(self, attempt: Attempt) -> Edit:
        """What was changed; its patch is kept for people."""
        desk = self._desk
        edit = desk.worktrees.edit_of(attempt.id, attempt.parent, desk.variant_path)
        if edit.patch:
            desk.keep_file(attempt.id, "change.patch", edit.patch.encode("utf-8", "surrogateescape"))
        return edit

    def _make_room(self, attempt: Attempt) -> Edit:
        """Remove all that the agent wrote, also its logs; what its edit was is not worth knowing then."""
        desk = self._desk
        desk.worktrees.close(attempt.id)
        remove_tree(desk.spec.folder / "tmp")
        if desk.control.disk_is_full():
            remove_tree(desk.folder_of(attempt.id))
        return Edit(None)

    def _trouble(self, outcome: EditOutcome, edit: Edit) -> tuple[str, str]:
        """Class and words of what went wrong, if anything did."""
        if outcome.status == "failed":
            return class_of_agent(outcome.reason), outcome.detail
        if outcome.status == "edited" and edit.unusable:
            return AGENT, edit.unusable
        return "", outcome.detail

    def _relative(self, path: Path | None) -> str | None:
        if path is None:
            return None
        folder = self._desk.spec.folder.resolve()
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name

    def put_aside(self, attempt: Attempt, reason: str, failure: str = "") -> None:
        """End an attempt that says nothing about its idea; it does not count."""
        self._desk.worktrees.close(attempt.id)
        self._desk.write("attempt.abandoned", attempt=attempt.id, reason=reason, failure=failure, counts=False)

    def finish(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Take attempts as far as they go: to their end, or to a place that was blocked; these stay queued.

        All are judged before any is decided, and then the cheapest first: it becomes the champion to beat.
        """
        for attempt in attempts:
            if attempt.phase in ("planned", "editing"):
                self.put_aside(attempt, "the climb was killed before the edit was done")
            if attempt.phase == "edited" and attempt.failure in (INFRA, RATE_LIMIT):
                self.put_aside(attempt, attempt.detail[:300], attempt.failure)  # a kill came before it was
            if attempt.phase == "edited":
                self._commit(attempt)
        self.judge([each for each in attempts if each.phase in ("committed", "judging", "blocked")])
        for attempt in sorted(attempts, key=_order):
            if not self._waits(attempt):
                self._conclude(attempt)
        for attempt in sorted(attempts, key=number_of):  # the log tells them in order
            if attempt.phase == "decided":
                self._record(attempt)
        return [attempt for attempt in attempts if self._waits(attempt)]

    @staticmethod
    def _waits(attempt: Attempt) -> bool:
        """Whether an attempt has still to be judged."""
        judgeable = attempt.candidate is not None or bool(attempt.tampered)
        return attempt.phase in ("judging", "blocked") or (attempt.phase == "committed" and judgeable)

    def _conclude(self, attempt: Attempt) -> None:
        """Check and decide an attempt that was judged, or needs no judge."""
        if attempt.phase in ("committed", "judged", "checking"):
            self._check(attempt)
        if attempt.phase in ("committed", "judged", "checked", "deciding"):
            self._decide(attempt)

    def _commit(self, attempt: Attempt) -> None:
        """Keep the edit as a commit that git does not collect, unless there is nothing worth judging."""
        desk, refused, candidate = self._desk, "", None
        if attempt.blob is not None and not attempt.tampered:
            refused = policy.refusal(desk.state, attempt, likeness_of(desk.committed(attempt.parent))[0])
            if not refused:
                message = candidate_message(attempt)
                candidate = desk.git.commit_file(attempt.parent, desk.variant_path, attempt.blob, message)
                desk.git.set_ref(desk.ref_of(attempt.id), candidate)
        desk.write("attempt.committed", attempt=attempt.id, candidate=candidate, refused=refused)

    def judge(self, attempts: Sequence[Attempt]) -> None:
        """Judge attempts that have something to judge, side by side where there are several places."""
        desk = self._desk
        done = sum(1 for each in desk.state.attempts.values() if each.verdict)
        waiting = [each for each in attempts if self._waits(each)]
        jobs = [Job(each, done + at, self._against(each)) for at, each in enumerate(waiting, 1)]
        with contextlib.closing(self._crew.judged(jobs)) as steps:
            for step in steps:
                if isinstance(step, Begun):
                    desk.write("attempt.judging", attempt=step.job.attempt.id, place=step.place)
                else:
                    self._record_judged(step)

    def _against(self, attempt: Attempt) -> str:
        """What an attempt is judged beside: its parent, or where it is timed the champion of today."""
        champion = self._desk.state.champion
        return champion if self._desk.spec.target.measured and champion is not None else attempt.parent

    def _record_judged(self, done: Judged) -> None:
        desk, name, place = self._desk, done.job.attempt.id, done.place
        if done.receipt is None:
            seconds = round(done.seconds, 3)
            why = clean(done.blocked)
            desk.write("attempt.blocked", attempt=name, failure=INFRA, detail=why, place=place, lost_s=seconds)
            return
        fields = judged_fields(done.receipt, done.seconds)
        host = done.receipt["fingerprint"].get("host", "")
        measured = desk.state.measured or {}
        if "mean_us" not in measured.get("start", {}):  # anchors of an earlier version: nothing to compare it with
            fields.pop("mean_us", None)
        if fields["measured_us"] and host != measured.get("fingerprint", {}).get("host", ""):
            beside = headline(done.receipt).incumbent_us
            if beside and desk.state.champion_us and done.job.against == desk.state.champion:
                fields["comparable_us"] = fields["measured_us"] / beside * desk.state.champion_us
        desk.write("attempt.judged", attempt=name, place=place, host=host, against=done.job.against, **fields)

    def _check(self, attempt: Attempt) -> None:
        wanted = attempt.verdict == "KEEP" and self._desk.spec.checks.commands and not policy.is_probe(attempt)
        if not wanted:
            return
        if attempt.phase != "checking":
            self._desk.write("attempt.checking", attempt=attempt.id)
        self._desk.write("attempt.checked", attempt=attempt.id, checks=run_checks(self._desk, attempt))

    def _decide(self, attempt: Attempt) -> None:
        desk = self._desk
        decision = policy.decision_of(attempt)
        if decision == "kept" and not self._beats_champion(attempt):
            decision = "advanced"
        if attempt.phase != "deciding":
            desk.write("attempt.deciding", attempt=attempt.id, decision=decision)
        commit, why = None, attempt.refused
        if decision == "kept":
            assert attempt.blob is not None
            assert desk.state.champion is not None
            message = commit_message(desk.state, attempt)
            commit = desk.branch.advance(attempt.id, desk.state.champion, desk.variant_path, attempt.blob, message)
        counts = counts_as_failure(attempt, decision, desk.spec)
        desk.write("attempt.decided", attempt=attempt.id, decision=decision, commit=commit, why=why, counts=counts)

    def _beats_champion(self, attempt: Attempt) -> bool:
        """Judged against the champion itself, or by its prediction cheaper by the margin between different kernels."""
        state = self._desk.state
        if (attempt.against or attempt.parent) == state.champion:
            return True
        if self._desk.branch.holds(attempt.id):
            return True  # the branch moved before a kill
        if self._desk.spec.target.measured:
            return False  # what was timed beside the champion before this one says nothing about this one
        if attempt.ranked_us is None or state.champion_ranked_us is None:
            return False
        return attempt.ranked_us < state.champion_ranked_us * (1 - (self._desk.spec.margins.edit or 0.0))

    def _record(self, attempt: Attempt) -> None:
        """Write the log for people, bound what is kept, and let git collect what nobody needs."""
        desk = self._desk
        bound_attempt(desk.folder_of(attempt.id))
        if attempt.candidate is not None and attempt.round is None:  # a round's are needed for its selection
            desk.git.delete_ref(desk.ref_of(attempt.id))
        write_log(desk.state, desk.spec.folder / "log.md", attempt)
        desk.write("attempt.recorded", attempt=attempt.id)


def _order(attempt: Attempt) -> tuple[bool, bool, float, str]:
    """What was being decided when a kill came goes first, then the cheapest."""
    decided = attempt.phase in ("deciding", "decided")
    return (not decided, attempt.ranked_us is None, attempt.ranked_us or 0.0, attempt.id)
