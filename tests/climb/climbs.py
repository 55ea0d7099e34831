"""A climb in a workspace, run as often as wanted, with a judge that is a table of costs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fakes import FakeJudge, ScriptedAgent

from cairn.agents.protocol import Agent, EditOutcome, EditTask
from cairn.climb.engine import Climb
from cairn.climb.ledger import Event, Ledger
from cairn.climb.policy import Margins
from cairn.climb.spec import ClimbSpec
from cairn.climb.state import State, fold
from cairn.judge.receipt import ReceiptBook
from cairn.process import Limits
from cairn.roofline import parse_target
from workspace import Workspace

VARIANT = "kernels/axpy/variants/pallas_axpy.py"
BRANCH = "cairn/night"
Act = Callable[[EditTask], EditOutcome | None]


class Bench:
    """One climb named `night`; `changes` are fields of its spec."""

    def __init__(self, workspace: Workspace, *acts: Act, agent: Agent | None = None, **changes: Any) -> None:
        self.workspace = workspace
        self.agent: Any = agent or ScriptedAgent(list(acts))
        self.asked: list[bytes] = []
        self.jax = "0.10.2"
        self.folder = workspace.root / ".cairn" / "runs" / "night"
        self.changes = changes
        self.open_judge: Callable[[Any], Any] = lambda problem: FakeJudge(problem, self.asked, self.jax)
        self.judges: dict[str, Callable[[Any], Any]] = {}  # of several places, instead of `open_judge` at one
        self.told: list[str] = []

    def spec(self, attempts: int) -> ClimbSpec:
        plain = ClimbSpec(
            name="night",
            problem=self.workspace.problem,
            variant="pallas_axpy",
            target=parse_target("tpu-v5p"),
            folder=self.folder,
            attempts=attempts,
            margins=Margins(sweep=0.05, edit=0.10),
            agent_limits=Limits(wall_s=60, idle_s=20),
            learnings=self.workspace.root / "AGENT.md",
        )
        return replace(plain, **self.changes)

    def climb(self, attempts: int, on_event: Callable[[Event], None] = lambda event: None) -> Climb:
        return Climb(
            self.spec(attempts),
            self.agent,
            on_event=on_event,
            judges=self.judges or {"local": self.open_judge},
            say=self.told.append,
        )

    def run(self, attempts: int | None = None, on_event: Callable[[Event], None] = lambda event: None) -> State:
        count = len(self.agent.acts) if attempts is None else attempts
        return self.climb(count, on_event).run()

    def state(self) -> State:
        return fold(Ledger(self.folder / "ledger.jsonl").events)

    def events(self, kind: str) -> list[Event]:
        """The lines of one kind in the ledger."""
        return [event for event in Ledger(self.folder / "ledger.jsonl").events if event["event"] == kind]

    def decisions(self) -> list[str]:
        return [attempt.decision for attempt in self.state().decided]

    def judged(self) -> list[str]:
        """The attempts that have a receipt, anchors included, the confirmation of the champion left out."""
        receipts = ReceiptBook(self.folder / "receipts.jsonl").all()
        return [receipt["attempt"] for receipt in receipts if receipt["purpose"] != "confirmation"]

    def commits(self) -> list[str]:
        return self.workspace.git("rev-list", f"main..{BRANCH}").split()

    def assert_clean(self) -> None:
        """No working folder is left, and the user's tree is what it was."""
        assert len(self.workspace.git("worktree", "list").splitlines()) == 1
        assert not (self.folder / "worktrees").exists()
        assert (self.workspace.root / "notes.txt").read_text() == "the user's unsaved thought\n"
        assert self.workspace.git("status", "--porcelain", "--", "kernels", "notes.txt") == " M notes.txt\n"
        assert self.workspace.git("symbolic-ref", "HEAD").strip() == "refs/heads/main"
        assert "block: int = 8" in self.workspace.variant.read_text()


class Killed(BaseException):
    """Stands for SIGKILL between two lines of the ledger."""


def killed_at(line: int) -> Callable[[Event], None]:
    """For `on_event`: raises `Killed` after so many lines, once."""
    left = line

    def kill(event: Event) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed

    return kill
