"""Codex as an agent: one `codex exec` per edit, in its own sandbox, unattended. Tested against 0.169.0.

What the client does by itself and a loop must not rely on: it retries, waits for a network for ever, leaves the
children of its commands behind, and keeps an old last-message file when a run fails. Hence the limits, the switch
against endless connection retries, the end of the whole process tree, and the deleted file.

What this does not protect against: the model may write anywhere its sandbox lets it, the system's temporary
directory included. What it says is a claim, and the judge looks at the files, not at the claim.
"""

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.agents.codex_environment import build_environment
from cairn.agents.codex_events import Transcript, classify_failure, one_line, read_claim, read_transcript
from cairn.agents.protocol import EditOutcome, EditTask
from cairn.process import Outcome, Streams, run_bounded

# As `-c`, because an older client passes over settings it does not know, but refuses `--disable UNKNOWN`.
_SETTINGS = (
    "features.unbounded_connection_retries=false",  # or a refused connection is retried for ever
    'shell_environment_policy.inherit="all"',  # it is an allow-list already, and holds the mark of the tree
    "shell_environment_policy.include_only=[]",
    "shell_environment_policy.ignore_default_excludes=false",  # no *KEY*, *SECRET*, *TOKEN* in the model's shell
)
# The client's sandbox makes these folders to mount over them, and leaves them when it is killed with a command.
_MOUNT_POINTS = (".agents", ".aws", ".codex")
_LIMIT_REASONS = {"wall": "timeout", "idle": "idle", "output": "output", "signal": "agent_error"}
_STDERR_TAIL = 8192
_DETAIL_LIMIT = 500


@dataclass(frozen=True)
class _Files:
    """What one edit leaves in the log folder."""

    events: Path
    stderr: Path
    last_message: Path


@dataclass
class CodexAgent:
    """Drives the Codex client.

    Args:
        binary: program name or path.
        model, reasoning_effort, profile: as in the client; None leaves its configuration alone.
        sandbox: `read-only`, `workspace-write` or `danger-full-access`. Nothing here ever widens it.
        extra_config: further `KEY=VALUE` settings; they win over the ones set here.
        environment: variables for the client on top of the allow-list.
    """

    binary: str = "codex"
    model: str | None = None
    reasoning_effort: str | None = None
    profile: str | None = None
    sandbox: str = "workspace-write"
    extra_config: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    name: str = "codex"

    def edit(self, task: EditTask) -> EditOutcome:
        """Let the client edit `task.workdir`; its events, stderr and last message stay in `task.log_dir`."""
        logs = task.log_dir.resolve()
        files = _Files(logs / "codex-events.jsonl", logs / "codex-stderr.log", logs / "codex-last-message.txt")
        for path in (files.events, files.stderr, files.last_message):
            path.unlink(missing_ok=True)
        environment = build_environment(
            os.environ, self.environment or {}, profile=self.profile, overrides=self.extra_config
        )
        binary = shutil.which(self.binary, path=environment.get("PATH"))
        if binary is None:
            return EditOutcome("failed", reason="not_found", detail=f"no program {self.binary!r} on PATH")
        before = _file_states(task.workdir)
        mount_points = [path for name in _MOUNT_POINTS if not (path := task.workdir / name).exists()]
        try:
            outcome = run_bounded(
                self._command(binary, task, files),
                cwd=task.workdir,
                environment=environment,
                streams=Streams(files.events, files.stderr, task.prompt),
                limits=task.limits,
            )
        except OSError as error:
            if error.filename != binary:
                raise
            return EditOutcome("failed", reason="not_found", detail=one_line(str(error), _DETAIL_LIMIT))
        for path in mount_points:
            with contextlib.suppress(OSError):  # only an empty folder goes
                path.rmdir()
        changed = _file_states(task.workdir) != before
        return _judge_run(outcome, files, changed=changed)

    def _command(self, binary: str, task: EditTask, files: _Files) -> list[str]:
        settings = [*_SETTINGS, *self.extra_config]
        if self.reasoning_effort is not None:
            settings.append(f'model_reasoning_effort="{self.reasoning_effort}"')
        command = [binary, "exec", "--json", "-C", str(task.workdir.resolve()), "-s", self.sandbox]
        command += [part for setting in settings for part in ("-c", setting)]
        command += ["-m", self.model] if self.model is not None else []
        command += ["-p", self.profile] if self.profile is not None else []
        return [*command, "-o", str(files.last_message), "-"]


def _judge_run(outcome: Outcome, files: _Files, *, changed: bool) -> EditOutcome:
    """Turn what the client left behind into an outcome."""
    transcript = read_transcript(_lines(files.events))
    if failure := _failure(outcome, transcript, _tail(files.stderr)):
        reason, detail = failure
        hypothesis = read_claim(transcript.last_message).hypothesis
        return EditOutcome("failed", hypothesis, reason, one_line(detail, _DETAIL_LIMIT), transcript.usage)
    claim = read_claim(_tail(files.last_message) or transcript.last_message)
    said = (("expected", claim.expected_effect), ("class", claim.idea_class))
    detail = "; ".join(f"{name}: {text}" for name, text in said if text)
    return EditOutcome("edited" if changed else "nothing", claim.hypothesis, detail=detail, usage=transcript.usage)


def _failure(outcome: Outcome, transcript: Transcript, stderr: str) -> tuple[str, str] | None:
    """Reason and detail when the run failed, else None."""
    if reason := _LIMIT_REASONS.get(outcome.ended_by):
        detail = f"ended by {outcome.ended_by} after {outcome.wall_s:.0f} s (code {outcome.returncode})"
        return reason, f"{detail}: {transcript.last_error}" if transcript.last_error else detail
    if transcript.failure is not None:
        return classify_failure(transcript.failure), transcript.failure
    if outcome.returncode != 0:
        said = stderr.strip() or transcript.last_error
        return classify_failure(said), f"exit code {outcome.returncode}: {said[-_DETAIL_LIMIT + 30 :]}"
    if not transcript.completed:
        return "agent_error", "the program ended well, but reported no completed turn: is it the Codex client?"
    return None


def _lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return list(file)
    except FileNotFoundError:  # whoever may write to the folder may have removed it
        return []


def _tail(path: Path) -> str:
    """The end of a file, as text; empty when it is not there."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _STDERR_TAIL))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _file_states(workdir: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file of a worktree, git's own aside: two of them differ when something was edited."""
    states = {}
    for folder, folders, names in os.walk(workdir):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(folder, name)
            with contextlib.suppress(FileNotFoundError):
                state = path.lstat()
                states[str(path)] = (state.st_size, state.st_mtime_ns)
    return states
