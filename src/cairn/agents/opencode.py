"""opencode as an agent: one `opencode run` per edit, unattended. Tested against 1.18.33.

Like Claude Code it has no sandbox of its own here, and like the Gemini CLI it retries for longer than a minute
without a word. It prices its own steps from a table that it brings along; a step of a model that it does not know
costs "0", which is not taken for free.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cairn.agents.client_run import Invocation, run_client
from cairn.agents.environment import pick
from cairn.agents.prices import Prices, load_prices
from cairn.agents.protocol import EditOutcome, EditTask, Usage
from cairn.agents.report import Report, child, count, dollars, events

_KEYS = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GENERATIVE_AI_API_KEY",
    "OPENROUTER_API_KEY",
)
_VARIABLES = (*_KEYS, "OPENCODE_CONFIG", "OPENCODE_CONFIG_CONTENT", "OPENCODE_CONFIG_DIR")


@dataclass
class OpencodeAgent:
    """Drives opencode.

    Args:
        binary: program name or path.
        model: `provider/model`; None leaves its configuration alone.
        variant: the provider's word for reasoning effort.
        extra_arguments: further arguments of the client.
        environment: variables for the client on top of the allow-list.
    """

    binary: str = "opencode"
    model: str | None = None
    variant: str | None = None
    extra_arguments: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    prices: Prices = field(default_factory=load_prices)
    name: str = "opencode"

    def edit(self, task: EditTask) -> EditOutcome:
        """Let the client edit `task.workdir`; its events and stderr stay in `task.log_dir`."""
        environment = pick(os.environ, _VARIABLES, self.environment or {})
        options = ["-m", self.model] if self.model is not None else []
        options += ["--variant", self.variant] if self.variant is not None else []
        invocation = Invocation(
            name=self.name,
            binary=self.binary,
            arguments=["run", "--format", "json", "--auto", *options, *self.extra_arguments],
            environment=environment,
            read=lambda lines: read_report(lines, billing="api" if any(map(environment.get, _KEYS)) else ""),
            prices=self.prices,
            model=self.model or "",
            mount_points=(".opencode",),
        )
        return run_client(task, invocation)


def read_report(lines: Iterable[str], billing: str = "") -> Report:
    """Fold the lines of `opencode run --format json`: steps that each have their tokens, texts, errors."""
    message, error, completed, steps, costs = "", None, False, [], []
    for event in events(lines):
        part = child(event, "part")
        match event.get("type"):
            case "text":
                message = str(part.get("text") or "")
            case "step_finish":
                completed = part.get("reason") == "stop"
                error = None  # a later step mends an earlier error
                steps.append(_usage(child(part, "tokens")))
                costs.append(dollars(part.get("cost")) or 0.0)
            case "error":
                error = _error_text(child(event, "error"))
    usage = Usage(*map(sum, zip(*(vars(step).values() for step in steps), strict=True))) if steps else None
    cost = sum(costs) if costs and all(costs) else None
    return Report(completed, error, message, error or "", usage, cost_usd=cost, billing=billing)


def _error_text(error: dict[str, Any]) -> str:
    data = child(error, "data")
    status = data.get("statusCode")
    words = (status if isinstance(status, int) else "", error.get("name") or "", data.get("message") or "")
    return " ".join(str(word) for word in words if word)


def _usage(tokens: dict[str, Any]) -> Usage:
    cache = child(tokens, "cache")
    read, written = count(cache, "read"), count(cache, "write")
    output = count(tokens, "output") + count(tokens, "reasoning")
    return Usage(count(tokens, "input") + read + written, read, output, written)
