"""The flags of `codex-loop` as data: name, default, kind and what each means here.

The parser, the list of what has no meaning here, and the table of docs/gdnctl.md are all made from this one list.
"""

from dataclasses import dataclass
from typing import Any, Literal

import click

Kind = Literal["text", "int", "float", "path", "flag"]
FAIL_COUNT_CONTINUE = ("fail", "count-failure", "continue")


@dataclass(frozen=True)
class Flag:
    """One flag.

    Args:
        name: with dashes; `--a/--no-a` for one that can be switched off.
        meaning: what it does here, or, with `idle`, why it has nothing to do here.
        default: None means that it was not given.
        choices: the values it may have; any for none.
        many: it may be repeated.
        idle: it is accepted, and a given one is answered with a note.
    """

    name: str
    meaning: str
    default: Any = None
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    many: bool = False
    idle: bool = False

    @property
    def parameter(self) -> str:
        """The name of its value."""
        return self.name.partition("/")[0].lstrip("-").replace("-", "_")

    def option(self) -> Any:
        """The click option."""
        text = f"No effect here: {self.meaning}" if self.idle else self.meaning
        if self.kind == "flag":
            return click.option(self.name, self.parameter, is_flag=True, default=bool(self.default), help=text)
        types: dict[str, Any] = {"int": int, "float": float, "text": str, "path": click.Path()}
        kind = click.Choice(self.choices) if self.choices else types[self.kind]
        shown = self.default is not None
        return click.option(
            self.name,
            self.parameter,
            type=kind,
            default=self.default,
            multiple=self.many,
            show_default=shown,
            help=text,
        )


def idle(name: str, why: str, default: Any = None, kind: Kind = "text", **more: Any) -> Flag:
    """A flag that is accepted and has nothing to do here."""
    return Flag(name, why, default, kind, idle=True, **more)


_JUDGE = "the judge examines every attempt, always with all of its stages"
_RECEIPTS = "numbers come from the judge's receipts, not from logged runs"

CORE = (
    Flag("--iterations", "Attempts of this launch.", kind="int"),
    Flag("--prompt-file", "Prompt template; blocks it leaves out are added.", kind="path"),
    Flag("--workdir", "The project. Default: found upwards from here.", kind="path"),
    Flag("--sleep-seconds", "Pause between attempts.", 5.0, "float"),
    Flag("--log-dir", "The run's folder: ledger, receipts, transcripts.", ".agents/logs/gdn_codex_loop", "path"),
    Flag("--hillclimb-log-file", "Where the run's Markdown log is copied to at the end.", kind="path"),
    Flag("--problem", "The problem's folder (new here). Default: kernels/gdn.", kind="path"),
    Flag("--variant", "The variant to edit (new here). Default: `start` of problem.yaml."),
    Flag("--target", "The chip (new here). Default: from --dev-tpu-type, else the problem's first target."),
)
AGENT = (
    Flag("--model", "Passed on to Codex unchanged.", "gpt-5.4"),
    Flag("--codex-bin", "The Codex program. Default: `codex` on PATH."),
    Flag("--reasoning-effort", "Passed on as model_reasoning_effort.", "xhigh"),
    Flag("--codex-profile", "Configuration profile of the client."),
    Flag(
        "--codex-ephemeral/--no-codex-ephemeral",
        "The client keeps no session; a transcript is kept here.",
        True,
        "flag",
    ),
    Flag("--search", "Let the model search the web.", False, "flag"),
    idle("--show-file-updates", "the transcript and change.patch of each attempt hold them", False, "flag"),
    idle(
        "--codex-retries", "each class of failure has its own rule; a deterministic one is never retried", 0, "int"
    ),
    Flag("--codex-timeout-seconds", "Wall limit of one edit.", 7200.0, "float"),
    Flag("--codex-idle-timeout-seconds", "Limit without output.", 900.0, "float"),
    idle("--retry-sleep-seconds", "waits grow by class of failure, and rate limits are waited out", 20.0, "float"),
)
STEERING = (
    Flag("--directive", "A further instruction for the agent.", many=True),
    Flag("--directive-file", "The same, from a file.", kind="path", many=True),
    Flag("--directive-preset", "The same, by a preset's name.", many=True),
)
GIT = (
    Flag("--allow-dirty", "Do not even mention uncommitted changes.", False, "flag"),
    Flag(
        "--dirty-policy",
        "Uncommitted changes: refuse, or put away until the end. Attempts run in worktrees of their own either way.",
        "fail",
        choices=("fail", "stash", "worktree", "allow"),
    ),
    idle(
        "--stash-restore-policy",
        "a stash is restored by its object id; on a conflict it is kept and said",
        "warn-keep",
        choices=("warn-keep", "fail"),
    ),
    Flag("--allow-no-commit", "An attempt that changes nothing is no failure.", False, "flag"),
    Flag("--no-commit-policy", "An attempt that changes nothing.", "fail", choices=FAIL_COUNT_CONTINUE),
    Flag(
        "--sync-main-policy",
        "Merge main into the champion, and price everything anew.",
        "off",
        choices=("off", "once", "each-iteration"),
    ),
    Flag("--sync-main-remote", "Its remote.", "origin"),
    Flag("--sync-main-branch", "Its branch.", "main"),
    Flag("--sync-main-conflict-policy", "When it does not merge.", "fail", choices=("fail", "skip")),
)
FAILURES = (
    Flag("--max-failures", "End when counted failures exceed this; -1: any number.", 0, "int"),
    Flag(
        "--resilient",
        "Go on overnight: softer defaults for policies that were not given. Never endless.",
        False,
        "flag",
    ),
    idle(
        "--iteration-error-policy",
        "an attempt's failure has a class and a rule; an error of cairn itself ends the run",
        "fail",
        choices=FAIL_COUNT_CONTINUE,
    ),
    Flag("--post-check", "Shell command that a winner must pass before it becomes the champion.", many=True),
    Flag("--post-check-policy", "When one fails.", "fail", choices=FAIL_COUNT_CONTINUE),
    Flag("--post-check-retries", "Further tries of a check.", 0, "int"),
)
HELD = (
    Flag("--hold-dev-tpu", "Hold a device for the whole run.", False, "flag"),
    Flag(
        "--hold-dev-tpu-policy",
        "Without a device: end, or go on.",
        "required",
        choices=("required", "best-effort"),
    ),
    Flag("--dev-tpu-cluster", "The place that is tried first.", "us-central1"),
    Flag("--dev-tpu-fallback-cluster", "Places that are tried next.", many=True),
    Flag("--dev-tpu-name", "The device's name; needed with --hold-dev-tpu."),
    Flag("--dev-tpu-type", "E.g. v5p-8; passed on, and names the chip to climb for."),
    Flag("--dev-tpu-sync-path", "Passed on to the allocator as {sync}.", "."),
    Flag("--dev-tpu-allocate-attempts", "Passes over all places.", 1, "int"),
    Flag("--dev-tpu-allocate-retry-sleep", "Seconds between two passes.", 30.0, "float"),
    Flag("--dev-tpu-ready-timeout", "Seconds to wait until it is ready.", 900.0, "float"),
    Flag("--dev-tpu-stop-timeout", "Seconds to wait for its release.", 120.0, "float"),
    Flag("--dev-tpu-allocate-log", "The allocator's output. Default: in --log-dir.", kind="path"),
    idle("--dev-tpu-verbose", "all of the allocator's output is in its log", False, "flag"),
)
VALIDATION = (
    idle("--validation-mode", _JUDGE, "required", choices=("required", "profile-only", "off")),
    idle("--validation-policy", _JUDGE, "fail", choices=FAIL_COUNT_CONTINUE),
    idle(
        "--validation-max-attempts",
        "a verdict is not retried; a judge that was disturbed is, a few times",
        -1,
        "int",
    ),
    idle("--validation-retry-sleep", "the waits after a disturbance grow by themselves", 120.0, "float"),
    idle("--validation-tests", _JUDGE, "both", choices=("kernels", "layer", "both")),
    idle("--validation-pytest-args", _JUDGE),
    idle("--validation-ray-test-timeout", "the judge runs here, not on Ray", 1800.0, "float"),
    idle("--validation-ray-profile-timeout", "the judge runs here, not on Ray", 3600.0, "float"),
    idle("--validation-ray-log-tail", "the judge runs here, not on Ray", 400, "int"),
    idle("--validation-ray-cluster", "the judge runs here, not on Ray", many=True),
    idle("--validation-ray-cluster-auto", "the judge runs here, not on Ray", False, "flag"),
    idle("--validation-ray-cluster-exclude", "the judge runs here, not on Ray", many=True),
    idle(
        "--validation-cross-tpu-test-fallback",
        "another chip is another target, with a champion of its own",
        False,
        "flag",
    ),
    idle("--validation-ray-tpu", "the judge runs here, not on Ray", "auto"),
    idle("--validation-dev-no-sync", "the judge runs here", False, "flag"),
)
SCORING = (
    idle("--perf-mode", _JUDGE, "required", choices=("required", "off")),
    idle("--perf-state-file", "the champion is a fold of the ledger", kind="path"),
    idle("--perf-metric", "cost in microseconds decides; MFU is not comparable across forms", "throughput/mfu"),
    idle("--perf-aggregation", _RECEIPTS, "history-window", choices=("history-window", "summary")),
    idle("--perf-history-aggregation", _RECEIPTS, "median", choices=("median", "mean")),
    idle("--perf-history-step-start", _RECEIPTS, 10, "int"),
    idle("--perf-history-step-end", _RECEIPTS, 18, "int"),
    idle("--perf-history-min-points", _RECEIPTS, 5, "int"),
    idle(
        "--perf-min-improvement-pct",
        "the margin is `climb.margin` of the registry; a device's noise is measured",
        0.25,
        "float",
    ),
    idle("--perf-max-regression-pct", "whatever is not better by the margin is not kept", 1.0, "float"),
    idle(
        "--perf-regression-policy",
        "the champion only moves forward; there is nothing to revert",
        "revert-count-failure",
        choices=("revert-count-failure", "revert-continue", "fail", "count-failure", "continue"),
    ),
    idle("--perf-wandb-entity", _RECEIPTS, "marin-community"),
    idle("--perf-wandb-project", _RECEIPTS, "marin"),
    idle(
        "--perf-upper-bound-step-ms", "the floor comes from the problem's own operations and bytes", kind="float"
    ),
)
