"""The Gemini CLI as an agent: one `gemini -p` per edit, unattended. Tested against 0.61.0.

Like Claude Code it has no sandbox of its own here. It retries refused and failed requests for longer than a minute
and prints nothing meanwhile but warnings, so the idle limit is what ends it.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cairn.agents.client_run import Invocation, run_client
from cairn.agents.environment import pick
from cairn.agents.prices import Prices, load_prices
from cairn.agents.protocol import EditOutcome, EditTask, Usage
from cairn.agents.report import Report, child, count, events

_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_VARIABLES = (
    *_KEYS,
    *("GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_LOCATION"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "GEMINI_MODEL", "GEMINI_CLI_HOME"),
)


@dataclass
class GeminiAgent:
    """Drives the Gemini CLI.

    Args:
        binary: program name or path.
        model: as in the client; None leaves its configuration alone.
        extra_arguments: further arguments of the client.
        environment: variables for the client on top of the allow-list.
    """

    binary: str = "gemini"
    model: str | None = None
    extra_arguments: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    prices: Prices = field(default_factory=load_prices)
    name: str = "gemini"

    def edit(self, task: EditTask) -> EditOutcome:
        """Let the client edit `task.workdir`; its events and stderr stay in `task.log_dir`."""
        environment = pick(os.environ, _VARIABLES, self.environment or {})
        by_key = any(environment.get(name) for name in _KEYS)
        model = ["-m", self.model] if self.model is not None else []
        invocation = Invocation(
            name=self.name,
            binary=self.binary,
            # a prompt on standard input, and no -p, makes it run without a terminal
            arguments=[
                "--skip-trust",
                "--approval-mode",
                "yolo",
                "-o",
                "stream-json",
                *model,
                *self.extra_arguments,
            ],
            environment=environment,
            read=lambda lines: read_report(lines, billing="api" if by_key else ""),
            prices=self.prices,
            model=self.model or "",
            priced="GOOGLE_GEMINI_BASE_URL" not in environment,
            mount_points=(".gemini",),
        )
        return run_client(task, invocation)


def read_report(lines: Iterable[str], billing: str = "") -> Report:
    """Fold the lines of `gemini -o stream-json`; a message comes in pieces, and a tool's use ends it."""
    model, message, error, failure, completed, usage = "", "", "", None, False, None
    for event in events(lines):
        match event.get("type"):
            case "init":
                model = str(event.get("model") or "")
            case "message" if event.get("role") == "assistant":
                message += str(event.get("content") or "")
            case "tool_use":
                message = ""
            case "error":
                error = str(event.get("message") or "")
            case "result":
                completed, usage = True, _usage(child(event, "stats"))
                if event.get("status") != "success":
                    failure = str(child(event, "error").get("message") or error or "the run failed")
    return Report(completed, failure, message, error, usage, model=model, billing=billing)


def _usage(stats: dict[str, Any]) -> Usage:
    return Usage(count(stats, "input_tokens"), count(stats, "cached"), count(stats, "output_tokens"))
