"""Claude Code as an agent: one `claude -p` per edit, unattended. Tested against 2.1.330.

The client has no sandbox of its own here: its model runs commands with the rights of whoever started the climb.
Run it in a container, or with a user of its own, when that matters. It gets only the tools that an edit needs, no
MCP servers, an allow-list of variables, and its keys are not in the environment of the model's shell (a determined
model could still find them in its parent's).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cairn.agents.claude_events import read_report
from cairn.agents.client_run import Invocation, run_client
from cairn.agents.environment import pick
from cairn.agents.prices import Prices, load_prices
from cairn.agents.protocol import EditOutcome, EditTask

_TOOLS = ("Bash", "Edit", "Glob", "Grep", "Read", "Write")
_SEARCH_TOOLS = ("WebFetch", "WebSearch")
_VARIABLES = (
    *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS"),
    *("ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_OPUS_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL"),
    *("ANTHROPIC_DEFAULT_HAIKU_MODEL", "API_TIMEOUT_MS", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN"),
    *("CLAUDE_CODE_MAX_OUTPUT_TOKENS", "CLAUDE_CODE_MAX_RETRIES", "IS_SANDBOX"),
)
# a provider of another cloud brings its own credentials along
_CLOUDS = {
    "CLAUDE_CODE_USE_BEDROCK": (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_PROFILE"),
        *("AWS_BEARER_TOKEN_BEDROCK", "ANTHROPIC_BEDROCK_BASE_URL"),
    ),
    "CLAUDE_CODE_USE_VERTEX": (
        *("GOOGLE_APPLICATION_CREDENTIALS", "CLOUD_ML_REGION", "ANTHROPIC_VERTEX_PROJECT_ID"),
        "ANTHROPIC_VERTEX_BASE_URL",
    ),
}
# taken out of the model's shell; the client's own way to do that needs bubblewrap
_SECRETS = (
    *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_OAUTH_TOKEN"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK"),
)
_SETTINGS = {
    "DISABLE_AUTOUPDATER": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CLAUDE_CODE_MAX_RETRIES": "2",  # the default retries for minutes; the climb waits better than the client does
}


@dataclass
class ClaudeAgent:
    """Drives Claude Code.

    Args:
        binary: program name or path.
        model, effort: as in the client; None leaves its configuration alone.
        search: let the model search the web.
        ephemeral: the client keeps no session of its own; the transcript is kept here either way.
        extra_arguments: further arguments of the client.
        environment: variables for the client on top of the allow-list.
    """

    binary: str = "claude"
    model: str | None = None
    effort: str | None = None
    search: bool = False
    ephemeral: bool = False
    extra_arguments: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    prices: Prices = field(default_factory=load_prices)
    name: str = "claude"

    def edit(self, task: EditTask) -> EditOutcome:
        """Let the client edit `task.workdir`; its events and stderr stay in `task.log_dir`."""
        clouds = [name for name in _CLOUDS if os.environ.get(name)]
        wanted = [*_VARIABLES, *clouds, *(variable for cloud in clouds for variable in _CLOUDS[cloud])]
        environment = {**_SETTINGS, **pick(os.environ, wanted, self.environment or {})}
        environment.setdefault("CLAUDE_CODE_SHELL_PREFIX", str(_write_shell(task.log_dir.resolve())))
        invocation = Invocation(
            name=self.name,
            binary=self.binary,
            arguments=self._arguments(),
            environment=environment,
            read=read_report,
            prices=self.prices,
            model=self.model or "",
            priced=not clouds and "ANTHROPIC_BASE_URL" not in environment,
            mount_points=(".claude",),
        )
        return run_client(task, invocation)

    def _arguments(self) -> list[str]:
        tools = ",".join([*_TOOLS, *(_SEARCH_TOOLS if self.search else ())])
        arguments = ["-p", "--output-format", "stream-json", "--verbose", "--strict-mcp-config"]
        arguments += ["--permission-mode", "acceptEdits", "--tools", tools, "--allowedTools", tools]
        arguments += ["--model", self.model] if self.model is not None else []
        arguments += ["--effort", self.effort] if self.effort is not None else []
        arguments += ["--no-session-persistence"] if self.ephemeral else []
        return [*arguments, *self.extra_arguments]


def _write_shell(folder: Path) -> Path:
    """A program that runs a command line without the client's keys; the client wants it to be one file."""
    path = folder / "claude-shell"
    path.write_text(f'#!/bin/sh\nunset {" ".join(_SECRETS)}\nexec bash -c "$1"\n', encoding="utf-8")
    path.chmod(0o755)
    return path
