"""The judge's bench: the judge on a pristine checkout, opened when needed, opened anew when one of its helpers died.

The judge's own processes can be killed from outside, above all by a machine that is short of memory. That says
nothing about the variant, so the step is repeated with fresh processes a few times before it counts.

A bench is used by one thread only, because a worker that is locked in ends with the thread that started it; only
`stop` may come from another.
"""

import contextlib
import errno
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from cairn.climb.costs import over_all_shapes
from cairn.climb.desk import Desk
from cairn.climb.failures import DOUBTFUL, INFRA, RULES, class_of_receipt, pause_s
from cairn.climb.likeness import likeness_of
from cairn.climb.policy import NOT_DEARER, is_simpler
from cairn.climb.state import Attempt
from cairn.errors import BadInput, CairnError, DiskFull, Missing, TryAgain
from cairn.judge.calibration import Calibration
from cairn.judge.case import Case
from cairn.judge.protocol import VariantSource
from cairn.judge.record import headline, record_of
from cairn.judge.referee import Judge
from cairn.judge.verdict import Ruling
from cairn.learnings.signature import signature
from cairn.problem import Problem, load_problem
from cairn.worker_watch import WorkerFailure

T = TypeVar("T")
OpenJudge = Callable[[Problem], AbstractContextManager[Judge]]
TakeDevice = Callable[[str], AbstractContextManager[None]]
_OPEN_TRIES = 3
_DOUBTS = 2  # a process that ends three times in a row, each time among fresh ones, was ended by the variant


class Blocked(Exception):
    """The judge could not finish, and the variant is not to blame."""


@dataclass(frozen=True)
class Job:
    """An attempt to judge against the variant of the commit `against`, as the `number`-th candidate of its climb."""

    attempt: Attempt
    number: int
    against: str


@dataclass(frozen=True)
class Prepared:
    """What a place is like: the judge's fingerprint there, and the noise that identical code showed."""

    fingerprint: dict[str, Any]
    calibration: dict[str, Any] | None


class Bench:
    """Holds the judge of one place open between attempts.

    Args:
        place: the name of where the judge's workers run.
        pristine: the name of its own checkout of the problem.
        take_device: has the device of a lease to itself while it is entered. A judge that measures is opened within
            and closed again, because an open one keeps the device from the agent.
    """

    def __init__(
        self,
        desk: Desk,
        open_judge: OpenJudge,
        *,
        place: str,
        pristine: str,
        take_device: TakeDevice | None = None,
    ) -> None:
        self.place = place
        self._desk = desk
        self._open_judge = open_judge
        self._checkout = pristine
        self._over = threading.Event()
        self._take_device = take_device if desk.spec.target.measured else None
        self._context: AbstractContextManager[Judge] | None = None
        self._judge: Judge | None = None
        self._opened_at: str | None = None

    def stop(self) -> None:
        """Begin nothing more; from any thread. What is under way ends when its workers do."""
        self._over.set()

    def close(self) -> None:
        """End the judge's processes."""
        context, self._context, self._judge = self._context, None, None
        if context is not None:
            context.__exit__(None, None, None)

    @contextlib.contextmanager
    def at_device(self) -> Iterator[None]:
        """The judge may be used inside; where a device is leased, nobody else uses that meanwhile."""
        if self._take_device is None:
            yield
            return
        with self._take_device("the judge"):
            try:
                yield
            finally:
                self.close()

    def judge(self) -> Judge:
        """The judge for the problem as it is now; opened again when the problem moved on.

        Raises:
            BadInput, Missing: the problem or the installation is broken, not merely a process dead.
            TryAgain: the climb is over.
        """
        if self._over.is_set():
            raise TryAgain("the climb is over")
        if self._judge is not None and self._opened_at == self._desk.state.problem_at:
            return self._judge
        self.close()
        for left in reversed(range(_OPEN_TRIES)):
            try:
                return self._open()
            except (CairnError, OSError, WorkerFailure) as error:
                if not left or self._over.is_set() or not from_outside(error):
                    raise
        raise AssertionError("unreachable")

    def _open(self) -> Judge:
        commit = self._desk.state.problem_at
        assert commit is not None
        context = self._open_judge(pristine(self._desk, self._checkout, commit))
        judge = context.__enter__()
        self._context, self._judge, self._opened_at = context, judge, commit
        known = self._desk.state.calibration_at(judge.fingerprint())
        if known is not None:
            judge.use(Calibration.of(known))
        return judge

    def prepare(self) -> Prepared:
        """Open the judge, and find out about the noise of its place unless that is known.

        Raises:
            TryAgain: the place cannot be reached now, or a process was killed each time.
            Whatever else `judge` raises.
        """

        def act(judge: Judge) -> Prepared:
            fingerprint = judge.fingerprint()
            known = self._desk.state.calibration_at(fingerprint)
            if known is None and (found := judge.calibrate()) is not None:
                known = found.record()
            return Prepared(fingerprint, known)

        return self.insist(act)

    def insist(self, act: Callable[[Judge], T]) -> T:
        """Do something with the judge that the climb cannot do without; again when only a process of it was killed.

        Raises:
            TryAgain: it was killed each time.
            Whatever else `act` and `judge` raise.
        """
        for left in reversed(range(_OPEN_TRIES)):
            try:
                with self.at_device():
                    return act(self.judge())
            except (CairnError, OSError, WorkerFailure) as error:
                self.close()
                if not from_outside(error):
                    raise
                if not left or self._over.is_set():
                    raise TryAgain(
                        f"the judge could not finish: {error}", hint="the same command again"
                    ) from error
        raise AssertionError("unreachable")

    def settle(self, job: Job) -> dict[str, Any]:
        """The receipt of an attempt; one that a killed launch has written already is not written again.

        Raises:
            Blocked: the judge's own processes, or git, failed.
            DiskFull: no room to write.
        """
        desk, attempt = self._desk, job.attempt
        known = desk.receipts.find(climb=desk.spec.name, attempt=attempt.id)
        if known is not None:
            return known
        try:
            with self.at_device():
                case = self._examine(job)
                for _ in range(_DOUBTS):
                    if case.ruling is None or not self._doubtful(case.ruling.reason, attempt):
                        break
                    self.close()
                    case = self._examine(job)
                if self._over.is_set():
                    raise TryAgain(
                        "the climb is over"
                    )  # its workers were ended, and what they seem to say is nothing
                return desk.receipts.add(record_of(case, self.judge(), climb=desk.spec.name, attempt=attempt.id))
        except (CairnError, OSError, WorkerFailure) as error:
            self.close()
            if not from_outside(error):
                raise
            raise Blocked(str(error)) from error

    @staticmethod
    def _doubtful(reason: str, attempt: Attempt) -> bool:
        """Whether a ruling may come from outside: a killed process, or a pristine copy that somebody reached."""
        return reason in DOUBTFUL or (reason == "frozen_changed" and not attempt.tampered)

    def confirm(self) -> dict[str, Any] | None:
        """The champion against the problem's own baseline with fresh seeds; None when the judge cannot tell now."""
        desk = self._desk
        champion = desk.source(desk.committed(desk.state.champion))
        label = f"confirm-{str(desk.state.champion)[:12]}"
        try:
            with self.at_device():
                judge = self.judge()
                known = desk.receipts.find(climb=desk.spec.name, attempt=label, fingerprint=judge.fingerprint())
                if known is not None:
                    return known
                baseline = VariantSource.read(judge.problem.variant(judge.problem.baseline))
                case = judge.confirm(champion, baseline)
                if case.ruling is not None and case.ruling.reason in DOUBTFUL:
                    raise TryAgain(f"the judge's process ended: {case.ruling.detail}")
                return desk.receipts.add(record_of(case, judge, climb=desk.spec.name, attempt=label))
        except (CairnError, OSError, WorkerFailure) as error:
            self.close()
            if not from_outside(error):
                raise
            return None

    def _examine(self, job: Job) -> Case:
        desk, attempt = self._desk, job.attempt
        champion = desk.committed(job.against)
        text = desk.git.read_blob(attempt.blob) if attempt.blob else b""
        tampered = Ruling("frozen_changed", ", ".join(attempt.tampered)[:600]) if attempt.tampered else None
        return self.judge().judge(
            desk.source(text),
            desk.source(champion),
            self._margin(champion, text),
            known=tampered,
            number=job.number,
        )

    def _margin(self, champion: bytes, text: bytes) -> float | None:
        """The margin; a predicted cost that is merely not dearer is enough for a plainly simpler kernel."""
        simpler = is_simpler(likeness_of(text)[1], likeness_of(champion)[1])
        if simpler and not self._desk.spec.target.measured:
            return NOT_DEARER
        return self._desk.spec.margins.between(champion, text)


def pristine(desk: Desk, name: str, commit: str) -> Problem:
    """The problem as it is in a commit, in a fresh checkout of that name."""
    return load_problem(desk.worktrees.open(name, commit) / desk.problem_path)


def from_outside(error: BaseException) -> bool:
    """Whether trouble came from the machine, so that the same step may go well another time."""
    if isinstance(error, DiskFull) or is_disk_trouble(error):
        return False
    if isinstance(error, WorkerFailure):
        return error.reason != "raised"
    cause = error.__cause__
    if isinstance(error, BadInput | Missing):
        return isinstance(cause, WorkerFailure) and cause.reason != "raised"
    return isinstance(error, TryAgain | OSError)


def is_disk_trouble(error: BaseException) -> bool:
    """Whether an error is about room to write."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in full)


def judged_fields(receipt: dict[str, Any], judge_s: float) -> dict[str, Any]:
    """What the ledger keeps of a receipt."""
    found = headline(receipt)
    failure = class_of_receipt(receipt)
    over_all = over_all_shapes(receipt)
    over_all.pop("incumbent_mean_us", None)
    return {
        "receipt": receipt["id"],
        "verdict": receipt["verdict"],
        "reason": receipt["reason"],
        "detail": receipt["detail"],
        "predicted_us": found.us if found.kind == "predicted" else None,
        "measured_us": found.us if found.kind == "measured" else None,
        "ratio": found.ratio,
        **over_all,
        "failure": failure,
        "signature": signature(f"{receipt['reason']}: {receipt['detail']}") if failure else "",
        "judge_s": round(judge_s, 3),
    }


def blocked_pause_s(times: int) -> float | None:
    """How long to wait before a blocked attempt is judged again; None when it is enough for this launch."""
    return pause_s(times) if times < RULES[INFRA].repeats else None
