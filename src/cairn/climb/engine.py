"""The loop: killed anywhere, it goes on where it stood; left alone, it ends by itself and says why.

A launch begins by finishing what the last one left open: an attempt that was never edited is put aside, an edited one
is judged, a judged one is decided from its receipt, so nothing is judged twice and nothing that was kept is lost.
Then attempts follow, one by one or in rounds, until a rule of `ends` says stop.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from cairn.agents.protocol import Agent, EditOutcome
from cairn.climb import dirty, ends
from cairn.climb.anchors import Anchors
from cairn.climb.batch import run_round, select_finished
from cairn.climb.bench import OpenJudge, TakeDevice, blocked_pause_s, is_disk_trouble
from cairn.climb.costs import over_all_shapes
from cairn.climb.crew import Crew
from cairn.climb.desk import Desk
from cairn.climb.failures import INFRA, RATE_LIMIT, RULES, pause_s
from cairn.climb.interrupts import Interrupts
from cairn.climb.ledger import Event
from cairn.climb.phases import Phases
from cairn.climb.spec import ClimbSpec as ClimbSpec
from cairn.climb.state import Attempt, State
from cairn.climb.sync import sync
from cairn.climb.worktrees import remove_tree
from cairn.errors import DiskFull, Missing, UsageError
from cairn.fence import fence_level
from cairn.judge.record import headline
from cairn.judge.referee import Judge

_UNKNOWN_LIMIT_S, _LONGEST_UNKNOWN_LIMIT_S = 60.0, 900.0
_WORTH_CONFIRMING = {name for name, end in ends.ENDS.items() if end.code == 0} - {"stopped"}


class Climb:
    """One launch of a climb. The caller holds the climb's lock.

    Args:
        agent: who edits; in a round from several threads at once.
        on_event: told of every ledger line after it is on disk.
        judges: what gives the judge for the pristine problem, by the name of the place where its workers run.
        interrupts: signals, held back while a line of the ledger is written.
        say: told what a person should read.

    Attributes:
        take_device: takes the leased device for a judge that measures on it; None when none is leased.
        rest_device: told before each wait how long it is, so that a leased device is not held for nobody.
    """

    def __init__(
        self,
        spec: ClimbSpec,
        agent: Agent,
        *,
        on_event: Callable[[Event], None] = lambda event: None,
        judges: Mapping[str, OpenJudge],
        interrupts: Interrupts | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.spec = spec
        self._agent = agent
        self._judges = judges
        self.take_device: TakeDevice | None = None
        self.rest_device: Callable[[float], None] = lambda seconds: None
        self._say = say
        self.desk = Desk(spec, on_event, interrupts or Interrupts())
        self.ledger = self.desk.ledger
        self.receipts = self.desk.receipts

    @property
    def state(self) -> State:
        return self.desk.state

    def run(self) -> State:
        """Climb until a rule says stop; every working folder is gone afterwards, also after an error.

        Raises:
            BadInput: the problem, its baseline or the start variant is broken.
            UsageError: the branch exists without a ledger, or is checked out.
            TryAgain: the branch was moved by somebody else.
        """
        desk = self.desk
        desk.worktrees.close_all()
        desk.forget_torn()
        desk.control.forget_stop()
        try:
            self._start()
            with Crew(desk, self._judges, self.take_device) as crew:
                reason = self._climb(crew)
            self._end(reason)
        except KeyboardInterrupt:
            desk.control.told_to_end = True
            self._end("interrupted")
            raise
        except (OSError, DiskFull) as error:
            if not is_disk_trouble(error):
                raise
            self._end_without_room(error)
        finally:
            desk.worktrees.close_all()
            remove_tree(self.spec.folder / "tmp")
            dirty.bring_back(desk, self._say)
        return self.state

    def _end(self, reason: str, detail: str = "") -> None:
        detail = detail or ends.last_words(self.state, reason)
        self.desk.write("climb.ended", reason=reason, code=ends.ENDS[reason].code, detail=detail)

    def _end_without_room(self, error: BaseException) -> None:
        """Make what room there is, and say why; when not even that goes, the state says it and the ledger stands."""
        desk = self.desk
        desk.worktrees.close_all()
        desk.control.use_reserve()
        try:
            self._end("disk_full", str(error)[:300])
        except (OSError, DiskFull):
            self.state.ended, self.state.ended_detail = "disk_full", str(error)[:300]

    # start

    def _start(self) -> None:
        desk, state = self.desk, self.state
        desk.control.reserve()
        desk.branch.require_not_checked_out()
        if state.base is None:
            self._begin()
        wanted = {"problem": desk.problem_path, "variant": self.spec.variant, "target": self.spec.target.name}
        for key, value in wanted.items():
            if state.settings[key] != value:
                message = f"the climb `{self.spec.name}` has {key} {state.settings[key]}, not {value}"
                raise UsageError(message, hint="give this one another --name")
        assert state.champion is not None
        desk.branch.agree_with(state.champion, [attempt.id for attempt in state.queue])
        dirty.put_away(desk, self._say)
        budgets = {
            key: value for key, value in vars(self.spec.budgets).items() if value not in (None, float("inf"))
        }
        desk.write(
            "climb.launched",
            agent=self._agent.name,
            attempts=self.spec.attempts,
            budgets=budgets | ({"wall_s": self.spec.wall_s} if self.spec.wall_s < float("inf") else {}),
            fence=fence_level(),
            places=list(self._judges),
        )

    def _begin(self) -> None:
        desk = self.desk
        base = desk.git.head()
        if desk.git.blob_of(base, desk.variant_path) is None:
            raise Missing(f"{desk.variant_path} is not committed", hint="commit the problem, then climb it")
        branch = desk.branch.name
        if desk.branch.tip() is not None:
            hint = f"choose another --name, or remove the branch: git branch -D {branch}"
            raise UsageError(f"branch {branch} exists, but {self.spec.folder} has no ledger of it", hint=hint)
        settings = {
            "name": self.spec.name,
            "problem": desk.problem_path,
            "variant": self.spec.variant,
            "target": self.spec.target.name,
            "margins": {"sweep": self.spec.margins.sweep, "edit": self.spec.margins.edit},
        }
        desk.write("climb.started", base=base, branch=branch, settings=settings)

    def _measure(self, crew: Crew) -> None:
        """Price baseline, start and champion, unless that was done in this very environment and champion line."""
        anchors = Anchors(
            self.desk.receipts, self.spec.name, self.spec.problem / "variants" / f"{self.spec.variant}.py"
        )
        place, found = crew.insist(lambda judge: self._measured_with(judge, anchors))
        if found is not None:
            self.desk.write("climb.measured", place=place, **found)

    def _measured_with(self, judge: Judge, anchors: Anchors) -> dict[str, Any] | None:
        """What an event says of the anchors here and now; None when they are known. In the judge's own thread."""
        desk, state, fingerprint = self.desk, self.state, judge.fingerprint()
        if state.measured is not None and state.measured["fingerprint"] == fingerprint:
            return None
        start, champion = (desk.source(desk.committed(commit)) for commit in (state.base, state.champion))
        known = {"fingerprint": fingerprint, "calibration": state.calibration_at(fingerprint)}
        return anchors.measure(judge, start, champion, previous=known)

    # the loop

    def _climb(self, crew: Crew) -> str:
        """Go on until there is a reason to stop; give it."""
        desk = self.desk
        phases = Phases(desk, self._agent, crew)
        reason = sync(desk) if self.spec.sync.when == "once" else None
        if reason is None:
            self._measure(crew)
        first = True
        while reason is None:
            reason = self._finish_queue(phases)
            if reason is None and self.spec.batch:
                select_finished(desk)
            reason = reason or ("stopped" if desk.control.stop_requested() else None)
            reason = reason or ends.reason_to_stop(self.state, self.spec, desk.control.wall_left_s)
            if reason is None and desk.control.disk_is_full():
                raise DiskFull(f"hardly any room left on the disk of {self.spec.folder}")
            if reason is None and self.spec.sync.when == "each-iteration":
                reason = sync(desk)
                if reason is None:
                    self._measure(crew)
            if reason is None:
                if not first:
                    desk.control.wait(self.spec.pause_s)
                first = False
                reason = self._round(phases) if self.spec.batch else self._attempt(phases)
        self._confirm(crew, reason)
        return reason

    def _attempt(self, phases: Phases) -> str | None:
        attempt = phases.plan()
        outcome, seconds = phases.edit(phases.prepare(attempt))
        phases.record_edit(attempt, outcome, seconds)
        self._tidy_after_edits()
        return self.put_aside(phases, attempt, outcome)

    def _round(self, phases: Phases) -> str | None:
        """A batch; the reason to stop that one of its agents gave, if any."""
        rest = (
            lambda attempt, outcome: self.put_aside(phases, attempt, outcome),
            lambda: self._finish_queue(phases),
        )
        reason = run_round(self.desk, phases, self._agent, rest)
        self._tidy_after_edits()
        return reason

    def _finish_queue(self, phases: Phases) -> str | None:
        """Take every open attempt to its end; the reason to stop when the judge stays blocked."""
        times, left = 0, phases.finish(self.state.queue)
        while left:
            times += 1
            pause = blocked_pause_s(times)
            if pause is None:
                return "judge_infra"
            others = f" and {len(left) - 1} more" if len(left) > 1 else ""
            self._wait(pause, f"the judge could not finish {left[0].id}{others}: {left[0].detail}")
            if self.desk.control.stop_requested():
                return "stopped"
            if self.desk.control.wall_left_s <= 0:
                return "wall_clock"
            before, left = left, phases.finish(left)
            if len(left) < len(before):
                times = 0
        return None

    def put_aside(self, phases: Phases, attempt: Attempt, outcome: EditOutcome) -> str | None:
        """Put an attempt aside when its end says nothing about its idea, and wait where that helps."""
        control = self.desk.control
        why = control.why_cancel() if outcome.reason == "cancelled" else ""
        if why and attempt.failure != "disk":
            phases.put_aside(attempt, why)
            return None
        if outcome.status == "failed" and control.wall_left_s <= 0:
            phases.put_aside(attempt, "wall_clock")
            return None
        if attempt.failure not in (RATE_LIMIT, INFRA):
            return None
        phases.put_aside(attempt, attempt.detail[:300], attempt.failure)
        times = self._in_a_row(attempt.failure)
        reason = "rate_limit" if attempt.failure == RATE_LIMIT else "agent_infra"
        if times > RULES[attempt.failure].repeats:
            return reason
        seconds = _until_lifted(outcome, times) if attempt.failure == RATE_LIMIT else pause_s(times)
        if seconds > min(self.spec.budgets.wait_s, control.wall_left_s):
            return reason
        self._wait(seconds, f"{attempt.failure}: {attempt.detail[:200]}")
        return None

    def _in_a_row(self, failure: str) -> int:
        """How often attempts were put aside for this since the last that came through; a round's count once."""
        found = set()
        for attempt in reversed(list(self.state.attempts.values())):
            if attempt.phase != "abandoned" or attempt.failure not in (RATE_LIMIT, INFRA):
                break
            if attempt.failure == failure:
                found.add(attempt.id if attempt.round is None else attempt.round)
        return len(found)

    def _wait(self, seconds: float, why: str) -> None:
        until = datetime.now(UTC).timestamp() + seconds
        shown = datetime.fromtimestamp(until, UTC).isoformat(timespec="seconds")
        self.desk.write("climb.waiting", why=why, seconds=round(seconds, 1), until=shown)
        self.rest_device(seconds)
        self.desk.control.wait(seconds)

    def _tidy_after_edits(self) -> None:
        """Empty the agents' temporary folder, and see to the receipts and the branch.

        While a climb runs, only its agent can have changed them: they are put back, and what was found is kept.
        """
        remove_tree(self.spec.folder / "tmp")
        state = self.state
        if changed := self.desk.receipts.repair():
            self.desk.write("climb.repaired", what="the receipts", found=changed)
        assert state.champion is not None
        found = self.desk.branch.put_back(state.champion)
        if found is not None:
            if self.desk.git.commit_of(found):
                self.desk.git.set_ref(f"refs/cairn/{self.spec.name}/found-{len(self.ledger.events)}", found)
            self.desk.write("climb.repaired", what=f"branch {self.desk.branch.name}", found=found)

    def _confirm(self, crew: Crew, reason: str) -> None:
        """Quote nothing that was not found again: the champion against the original baseline, with fresh seeds."""
        state = self.state
        if reason not in _WORTH_CONFIRMING or state.champion_attempt is None:
            return
        if state.confirmed and state.confirmed["champion"] == state.champion:
            return
        receipt = crew.confirm()
        if receipt is not None:
            found = headline(receipt)
            self.desk.write(
                "climb.confirmed",
                champion=state.champion,
                receipt=receipt["id"],
                verdict=receipt["verdict"],
                kind=found.kind,
                us=found.us,
                baseline_us=found.incumbent_us,
                ratio=found.ratio,
                ratios=over_all_shapes(receipt).get("ratios", []),
            )


def _until_lifted(outcome: EditOutcome, times: int) -> float:
    """Seconds until a rate limit is lifted: what the client said, else a minute, doubled each time."""
    if outcome.retry_at is not None:
        return max(1.0, (outcome.retry_at - datetime.now(UTC)).total_seconds())
    return min(_LONGEST_UNKNOWN_LIMIT_S, _UNKNOWN_LIMIT_S * 2.0 ** (times - 1))
