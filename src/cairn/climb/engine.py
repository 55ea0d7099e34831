"""The loop: plan, edit, judge, decide, record; killed anywhere, it goes on where it stood.

Every act is in the ledger before it happens and after it. A launch starts by finishing what the last one left
open: an attempt that was never edited is abandoned, an edited one is judged, a judged one is decided from its
receipt, so nothing is judged twice and nothing that was kept is lost.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cairn.agents.protocol import Agent, EditOutcome, EditTask, SearchSpace, Trial
from cairn.climb import policy, prompt
from cairn.climb.anchors import Anchors
from cairn.climb.branch import ChampionBranch
from cairn.climb.ledger import Event, Ledger
from cairn.climb.memory import matching_learnings
from cairn.climb.message import commit_message
from cairn.climb.policy import Margins
from cairn.climb.state import Attempt, State, apply, fold
from cairn.climb.worktrees import Edit, Worktrees
from cairn.errors import BadInput, Missing, UsageError
from cairn.git import Git
from cairn.journal import write_atomic
from cairn.judge.protocol import VariantSource
from cairn.judge.receipt import ReceiptBook
from cairn.judge.record import record_of
from cairn.judge.referee import Judge
from cairn.judge.verdict import Ruling
from cairn.problem import Problem, load_problem
from cairn.process import Limits
from cairn.roofline import Target
from cairn.variant_text import config_defaults


@dataclass(frozen=True)
class ClimbSpec:
    """What to climb and how far.

    Args:
        problem: path of the problem's folder in the user's tree.
        folder: the run's own folder (ledger, receipts, logs, worktrees).
        attempts: decided attempts over all launches after which it ends.
        learnings: the project's AGENT.md, which need not exist.
        wall_s: wall clock of this launch.
    """

    name: str
    problem: Path
    variant: str
    target: Target
    folder: Path
    attempts: int
    margins: Margins
    agent_limits: Limits
    learnings: Path
    wall_s: float = float("inf")
    branch_prefix: str = field(default="cairn/")

    @property
    def branch(self) -> str:
        return f"{self.branch_prefix}{self.name}"


class Climb:
    """One launch of a climb. The caller holds the climb's lock.

    Args:
        agent: who edits.
        on_event: told of every ledger line after it is on disk.
        open_judge: gives the judge for the pristine problem.
    """

    def __init__(
        self,
        spec: ClimbSpec,
        agent: Agent,
        *,
        on_event: Callable[[Event], None] = lambda event: None,
        open_judge: Callable[[Problem], AbstractContextManager[Judge]],
    ) -> None:
        self.spec = spec
        self._agent = agent
        self._open_judge = open_judge
        self._git = Git(spec.problem)
        self._problem_path = self._git.relative(spec.problem)
        self.variant_path = f"{self._problem_path}/variants/{spec.variant}.py"
        self._branch = ChampionBranch(self._git, spec.branch)
        self.ledger = Ledger(spec.folder / "ledger.jsonl", on_event)
        self.receipts = ReceiptBook(spec.folder / "receipts.jsonl")
        self.state: State = fold(self.ledger.events)
        self._worktrees = Worktrees(self._git, spec.folder / "worktrees")
        self._deadline = time.monotonic() + spec.wall_s

    def run(self) -> State:
        """Climb until a rule says stop; every worktree is gone afterwards, also after an error.

        Raises:
            BadInput: the problem, its baseline or the start variant is broken.
            UsageError: the branch exists without a ledger, or is checked out.
            TryAgain: the branch was moved by somebody else.
        """
        self._worktrees.close_all()
        self._start()
        try:
            with self._open_judge(self._pristine_problem()) as judge:
                self._measure(judge)
                self._finish_open_attempt(judge)
                while (reason := self._reason_to_stop()) is None:
                    self._attempt(judge)
            self._write("climb.ended", reason=reason)
        finally:
            self._worktrees.close_all()
        return self.state

    def _write(self, event: str, **fields: Any) -> None:
        apply(self.state, self.ledger.write(event, **fields))

    def _reason_to_stop(self) -> str | None:
        return policy.reason_to_stop(self.state, self.spec.attempts, self._deadline - time.monotonic())

    # start

    def _start(self) -> None:
        self._branch.require_not_checked_out()
        if self.state.base is None:
            self._begin()
        wanted = {"problem": self._problem_path, "variant": self.spec.variant, "target": self.spec.target.name}
        for key, value in wanted.items():
            if self.state.settings[key] != value:
                message = f"the climb `{self.spec.name}` has {key} {self.state.settings[key]}, not {value}"
                raise UsageError(message, hint="give this one another --name")
        assert self.state.champion is not None
        self._branch.agree_with(self.state.champion, self.state.open.id if self.state.open else None)
        self._write("climb.launched", agent=self._agent.name, attempts=self.spec.attempts)

    def _begin(self) -> None:
        base = self._git.head()
        if self._git.blob_of(base, self.variant_path) is None:
            raise Missing(f"{self.variant_path} is not committed", hint="commit the problem, then climb it")
        branch = self._branch.name
        if self._branch.tip() is not None:
            hint = f"choose another --name, or remove the branch: git branch -D {branch}"
            raise UsageError(f"branch {branch} exists, but {self.spec.folder} has no ledger of it", hint=hint)
        settings = {
            "name": self.spec.name,
            "problem": self._problem_path,
            "variant": self.spec.variant,
            "target": self.spec.target.name,
            "margins": {"sweep": self.spec.margins.sweep, "edit": self.spec.margins.edit},
        }
        self._write("climb.started", base=base, branch=branch, settings=settings)

    def _pristine_problem(self) -> Problem:
        """The problem as committed where the climb began, in a tree that no agent works in."""
        assert self.state.base is not None
        tree = self._worktrees.open("pristine", self.state.base)
        return load_problem(tree / self._problem_path)

    def _measure(self, judge: Judge) -> None:
        """Price baseline, start and champion, unless that was done in this very environment."""
        if self.state.measured is not None and self.state.measured["fingerprint"] == judge.fingerprint():
            return
        start, champion = (self._committed(commit) for commit in (self.state.base, self.state.champion))
        anchors = Anchors(
            self.receipts, self.spec.name, self.spec.problem / "variants" / f"{self.spec.variant}.py"
        )
        self._write("climb.measured", **anchors.measure(judge, self._source(start), self._source(champion)))

    # one attempt

    def _attempt(self, judge: Judge) -> None:
        assert self.state.champion is not None
        attempt_id = self.state.next_id()
        self._write("attempt.planned", attempt=attempt_id, parent=self.state.champion, agent=self._agent.name)
        attempt = self.state.attempts[attempt_id]
        tree = self._worktrees.open(attempt.id, attempt.parent)
        outcome = self._agent.edit(self._task(judge.problem, attempt, tree))
        edit = self._worktrees.edit_of(attempt.id, attempt.parent, self.variant_path)
        self._record_edit(attempt, outcome, edit)
        self._worktrees.close(attempt.id)
        self._judge_and_decide(judge, attempt)

    def _task(self, problem: Problem, attempt: Attempt, tree: Path) -> EditTask:
        logs = self.spec.folder / "attempts" / attempt.id
        logs.mkdir(parents=True, exist_ok=True)
        tunables = problem.tunables.get(self.spec.variant)
        space = SearchSpace({})
        if tunables is not None:
            space = SearchSpace(tunables.space, tunables.constraints, problem.shapes.bench[0])
        history = self._history()
        learnings = matching_learnings(self.spec.learnings, problem.name, self.spec.target.name)
        text = prompt.render(problem, self.variant_path, self.state, history, space, learnings)
        (logs / "prompt.md").write_text(text, encoding="utf-8")
        return EditTask(
            attempt=attempt.id,
            workdir=tree,
            variant=tree / self.variant_path,
            prompt=text,
            log_dir=logs,
            space=space,
            history=history,
            limits=self.spec.agent_limits,
        )

    def _history(self) -> list[Trial]:
        assert self.state.measured is not None
        start = self.state.measured["start"]
        defaults = self._tunables(self._committed(self.state.base))
        trials = [Trial("start", defaults, "KEEP", "start", start["predicted_us"], "where the climb began")]
        for attempt in self.state.decided:
            reason = attempt.reason or attempt.failure or attempt.status
            trials.append(
                Trial(
                    attempt.id, attempt.tunables, attempt.verdict, reason, attempt.predicted_us, attempt.hypothesis
                )
            )
        return trials

    def _record_edit(self, attempt: Attempt, outcome: EditOutcome, edit: Edit) -> None:
        if edit.patch:
            write_atomic(self.spec.folder / "attempts" / attempt.id / "change.patch", edit.patch)
        usable = outcome.status == "edited"
        self._write(
            "attempt.edited",
            attempt=attempt.id,
            status=outcome.status,
            failure=outcome.reason,
            detail=outcome.detail[:2000],
            hypothesis=outcome.hypothesis[:2000],
            usage=vars(outcome.usage) if outcome.usage else None,
            blob=edit.blob if usable else None,
            tunables=self._tunables(self._git.read_blob(edit.blob)) if edit.blob else {},
            tampered=edit.tampered if usable else [],
            extra=edit.extra[:100],
        )

    def _judge_and_decide(self, judge: Judge, attempt: Attempt) -> None:
        judgeable = attempt.tampered or (attempt.blob is not None and not self._was_judged(attempt))
        if attempt.phase == "edited" and judgeable:
            self._write("attempt.judging", attempt=attempt.id)
        if attempt.phase == "judging":
            self._judge(judge, attempt)
        self._decide(attempt)

    def _was_judged(self, attempt: Attempt) -> bool:
        """Whether an earlier attempt on the same champion had exactly this text."""
        same = (attempt.blob, attempt.parent)
        return any((a.blob, a.parent) == same and a.verdict for a in self.state.decided)

    def _judge(self, judge: Judge, attempt: Attempt) -> None:
        """Judge an edited attempt, unless a receipt says that it was: a kill can fall between the two."""
        receipt = self.receipts.find(climb=self.spec.name, attempt=attempt.id)
        if receipt is None:
            champion = self._committed(attempt.parent)
            text = self._git.read_blob(attempt.blob) if attempt.blob else b""
            margin = self.spec.margins.between(champion, text)
            tampered = Ruling("frozen_changed", ", ".join(attempt.tampered)) if attempt.tampered else None
            case = judge.judge(self._source(text), self._source(champion), margin, known=tampered)
            receipt = self.receipts.add(record_of(case, judge, climb=self.spec.name, attempt=attempt.id))
        prices = receipt["cost"]["shapes"]
        self._write(
            "attempt.judged",
            attempt=attempt.id,
            receipt=receipt["id"],
            verdict=receipt["verdict"],
            reason=receipt["reason"],
            detail=receipt["detail"],
            predicted_us=prices[0]["predicted_us"] if prices else None,
            ratio=receipt["cost"]["ratio"],
        )

    def _decide(self, attempt: Attempt) -> None:
        decision = policy.decision_of(attempt)
        commit = None
        if decision == "kept":
            assert attempt.blob is not None
            message = commit_message(self.state, attempt)
            commit = self._branch.advance(attempt.id, attempt.parent, self.variant_path, attempt.blob, message)
        self._write("attempt.decided", attempt=attempt.id, decision=decision, commit=commit)

    def _finish_open_attempt(self, judge: Judge) -> None:
        attempt = self.state.open
        if attempt is None:
            return
        if attempt.phase == "planned":
            self._write(
                "attempt.abandoned", attempt=attempt.id, reason="the climb was killed before the edit was done"
            )
        else:
            self._judge_and_decide(judge, attempt)

    # small things

    def _committed(self, commit: str | None) -> bytes:
        assert commit is not None
        return self._git.read(commit, self.variant_path)

    def _source(self, text: bytes) -> VariantSource:
        return VariantSource(self.spec.variant, text)

    @staticmethod
    def _tunables(text: bytes) -> dict[str, Any]:
        try:
            return config_defaults(text.decode("utf-8", "replace"))
        except BadInput:
            return {}  # it will not import either, and the judge says so
