"""Any program as an agent: it gets the prompt, edits the worktree, and may leave a small JSON file about it.

The program is the user's, so it has the user's rights and the user's environment, apart from variables that would
lead its git to another repository. What it gets:

    standard input      the prompt, then end of file
    CAIRN_PROMPT        the prompt as a file
    CAIRN_TASK          a JSON file: attempt, workdir, variant, prompt, result, log_dir, tunables, constraints, and the
                        last 200 attempts as history
    CAIRN_RESULT        where it may write its account
    CAIRN_ATTEMPT, CAIRN_WORKDIR, CAIRN_VARIANT, CAIRN_LOG_DIR

The account is a JSON object: `hypothesis`, `expected_effect`, `evidence`, `idea_class`, `reject_if` as texts;
`usage` with `input_tokens`, `cached_input_tokens`, `output_tokens`; `cost_usd`; `model`; `failure` (a class of
`protocol.FAILURES`) with `retry_at`. All of it is optional and junk is passed over. Without the file, a JSON object
at the end of standard output will do. Exit code 0 means that it is done; any other is a failure, and what it wrote to
standard error says of which class.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cairn.agents.claim import claim_of, last_object, one_line
from cairn.agents.client_run import class_of_end, file_states, how_it_ended, start_failure
from cairn.agents.failures import classify_failure, reset_time
from cairn.agents.protocol import FAILURES, EditOutcome, EditTask, Usage
from cairn.agents.report import child, count, dollars
from cairn.agents.transcripts import is_plain, keep_bounded, read_tail
from cairn.journal import write_atomic
from cairn.process import Outcome, Streams, run_bounded

_SHELL = "/bin/sh"
_RESULT_LIMIT = 65_536
_DETAIL_LIMIT = 500
_MOST_TRIALS = 200  # of a file that every attempt keeps
_NOT_FOUND = 127  # the shell's own code
_NOT_ITS_OWN = {"cancelled"}  # that is the climb's word: an attempt that was cancelled does not count
_ENDING = {"auth", "quota", "settings"}
_SHELL_SPEAKS = (f"{_SHELL}: ", "sh: ", "env: ", "/usr/bin/env: ")
# these would make the program's git work on another repository than the worktree's
_GIT_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
)


@dataclass
class CommandAgent:
    """Runs a shell command line.

    Args:
        command: for `/bin/sh -c`, in the attempt's worktree.
        environment: further variables for it.
        model: what it calls its model, if the caller knows.
    """

    command: str
    environment: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    name: str = "command"

    def edit(self, task: EditTask) -> EditOutcome:
        """Let the program edit `task.workdir`; its output stays in `task.log_dir`, bounded."""
        files = _Files(task.log_dir.resolve())
        before = file_states(task.workdir)
        try:
            files.prepare(task)
            outcome = run_bounded(
                task.fence([_SHELL, "-c", self.command]),
                cwd=task.workdir,
                environment=self._environment(task, files),
                streams=Streams(files.stdout, files.stderr, task.prompt),
                limits=task.limits,
                cancelled=task.cancelled,
            )
        except OSError as error:
            return start_failure(error, _SHELL)
        account = files.account()
        result = _result(outcome, account, files, changed=file_states(task.workdir) != before)
        for path in (files.stdout, files.stderr):
            keep_bounded(path)
        said = account.get("model")
        cost = dollars(account.get("cost_usd"))
        return replace(
            result,
            usage=_usage(child(account, "usage")),
            cost_usd=cost,
            cost_basis="unknown" if cost is None else "client",
            model=one_line(said) if isinstance(said, str) else self.model,
            transcript=files.stdout if is_plain(files.stdout) else None,
        )

    def _environment(self, task: EditTask, files: "_Files") -> dict[str, str]:
        parent = {name: value for name, value in os.environ.items() if name not in _GIT_VARIABLES}
        return {
            **parent,
            **self.environment,
            "GIT_CEILING_DIRECTORIES": str(task.workdir.resolve().parent),
            "CAIRN_TASK": str(files.task),
            "CAIRN_PROMPT": str(files.prompt),
            "CAIRN_RESULT": str(files.result),
            "CAIRN_ATTEMPT": task.attempt,
            "CAIRN_WORKDIR": str(task.workdir.resolve()),
            "CAIRN_VARIANT": str(task.variant.resolve()),
            "CAIRN_LOG_DIR": str(files.result.parent),
        }


class _Files:
    """What lies in the log folder for and from the program."""

    def __init__(self, folder: Path) -> None:
        self.stdout = folder / "command-stdout.log"
        self.stderr = folder / "command-stderr.log"
        self.task = folder / "task.json"
        self.prompt = folder / "command-prompt.md"
        self.result = folder / "result.json"

    def prepare(self, task: EditTask) -> None:
        """Write what the program reads; remove what an earlier run left, so that it is not taken for an answer."""
        for path in (self.stdout, self.stderr, self.result):
            path.unlink(missing_ok=True)
        write_atomic(self.prompt, task.prompt)
        write_atomic(self.task, json.dumps(self._description(task), default=str) + "\n")

    def _description(self, task: EditTask) -> dict[str, Any]:
        return {
            "attempt": task.attempt,
            "workdir": str(task.workdir.resolve()),
            "variant": str(task.variant.resolve()),
            "prompt": str(self.prompt),
            "result": str(self.result),
            "log_dir": str(self.result.parent),
            "tunables": {name: list(choices) for name, choices in task.space.choices.items()},
            "constraints": list(task.space.constraints),
            "history": [vars(trial) for trial in task.history[-_MOST_TRIALS:]],
        }

    def account(self) -> dict[str, Any]:
        """The program's account: of its file, else of the end of its standard output; empty when there is none."""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if is_plain(self.result):  # not a pipe, a folder or a link: reading those would hang, fail or mislead
                with self.result.open(encoding="utf-8-sig", errors="replace") as file:
                    value = json.loads(file.read(_RESULT_LIMIT))
                if isinstance(value, dict):
                    return value
        return last_object(read_tail(self.stdout))


def _result(outcome: Outcome, account: dict[str, Any], files: _Files, *, changed: bool) -> EditOutcome:
    claim = vars(claim_of(account))
    if reason := class_of_end(outcome):
        return EditOutcome("failed", reason=reason, detail=how_it_ended(outcome), **claim)
    named = account.get("failure")
    failed = named if isinstance(named, str) and named in FAILURES and named not in _NOT_ITS_OWN else None
    if outcome.returncode == 0 and failed is None:
        return EditOutcome("edited" if changed else "nothing", **claim)
    said = read_tail(files.stderr).strip() or _last_line(read_tail(files.stdout))
    reason = failed or _class_of_words(outcome, said, changed=changed)
    unsaid = f", and it calls that {failed}" if failed else ", without a word"
    why = f": {said[-_DETAIL_LIMIT + 30 :]}" if said else unsaid
    detail = one_line(f"exit code {outcome.returncode}{why}", _DETAIL_LIMIT)
    retry_at = _retry_at(account, said) if reason == "rate_limit" else None
    return EditOutcome("failed", reason=reason, detail=detail, retry_at=retry_at, **claim)


def _last_line(text: str) -> str:
    """All of standard output that may be an error: what stands before it are a model's own words."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _class_of_words(outcome: Outcome, said: str, *, changed: bool) -> str:
    """The class of a failure, as far as words of any program can be believed.

    `not_found` only from the shell itself: a script that misses a tool ends alike. What would end the climb at once
    is no word of a program that worked until then; when it is true, the next attempt says it again.
    """
    if outcome.returncode == _NOT_FOUND and not changed and said.startswith(_SHELL_SPEAKS):
        return "not_found"
    reason = classify_failure(said)
    return "agent_error" if reason == "not_found" or (changed and reason in _ENDING) else reason


def _retry_at(account: dict[str, Any], said: str) -> datetime | None:
    now = datetime.now().astimezone()
    stated = account.get("retry_at")
    if isinstance(stated, int | float) and not isinstance(stated, bool):
        return reset_time(f"resets_at: {int(stated)}", now) if 0 < stated < 1e11 else None
    return (reset_time(stated, now) if isinstance(stated, str) else None) or reset_time(said, now)


def _usage(counts: dict[str, Any]) -> Usage | None:
    names = ("input_tokens", "cached_input_tokens", "output_tokens")
    return Usage(*(count(counts, name) for name in names)) if counts else None
