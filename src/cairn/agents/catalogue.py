"""Every agent by its name, and how each is made from the options of a command line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cairn.agents.claude import ClaudeAgent
from cairn.agents.codex import CodexAgent
from cairn.agents.command import CommandAgent
from cairn.agents.gemini import GeminiAgent
from cairn.agents.opencode import OpencodeAgent
from cairn.agents.prices import load_prices
from cairn.agents.protocol import Agent
from cairn.agents.tuner import TunerAgent
from cairn.errors import UsageError

AGENTS = {
    "tuner": "the embedded search over declared tunables; needs no model",
    "codex": "the Codex CLI",
    "claude": "Claude Code",
    "gemini": "the Gemini CLI",
    "opencode": "opencode",
    "command": "any program, given with --agent-command",
}


@dataclass(frozen=True)
class AgentOptions:
    """What a caller may say about an agent. An option that an agent has no use for is an error, never ignored.

    Args:
        model, reasoning_effort: passed on unchanged; None leaves the client's configuration alone.
        profile: a configuration profile of the client (codex).
        search: let the model search the web (codex, claude).
        ephemeral: the client keeps no session of its own (codex, claude).
        binary: program name or path instead of the agent's own.
        command: the command line of the `command` agent.
        sandbox: the sandbox of the client (codex).
        prices: a price table of the user, over the shipped one.
        temporary: a temporary folder of the climb's own: the system's is shared with the judge and everybody else.
        environment: further variables.
        seed: of the tuner.
    """

    model: str | None = None
    reasoning_effort: str | None = None
    profile: str | None = None
    search: bool = False
    ephemeral: bool = False
    binary: str | None = None
    command: str | None = None
    sandbox: str = "workspace-write"
    prices: Path | None = None
    temporary: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    extra: Sequence[str] = ()
    seed: int = 0


# the options that each agent takes besides `binary`, `environment`, `prices` and `temporary`
_TAKES: Mapping[str, frozenset[str]] = {
    "tuner": frozenset({"seed"}),
    "codex": frozenset(
        {"model", "reasoning_effort", "profile", "search", "ephemeral", "sandbox", "extra", "binary"}
    ),
    "claude": frozenset({"model", "reasoning_effort", "search", "ephemeral", "extra", "binary"}),
    "gemini": frozenset({"model", "extra", "binary"}),
    "opencode": frozenset({"model", "reasoning_effort", "extra", "binary"}),
    "command": frozenset({"command", "model"}),
}
_CHECKED = ("model", "reasoning_effort", "profile", "search", "ephemeral", "command", "binary")
_FLAGS = {name: f"agent-{name}" for name in ("profile", "ephemeral", "command", "binary")}


def options_of(name: str) -> list[str]:
    """The command line options that an agent takes, without their dashes."""
    return [_flag(option) for option in _CHECKED if option in _TAKES[name]]


def _flag(option: str) -> str:
    return _FLAGS.get(option, option.replace("_", "-"))


def open_agent(name: str, options: AgentOptions) -> Agent:
    """Make an agent.

    Raises:
        UsageError: no such agent, an option that it has no use for, or one that it needs.
        Missing: what the agent runs on is not installed (the tuner's Optuna), or the price table is not there.
    """
    if name not in AGENTS:
        raise UsageError(f"no agent `{name}`", hint=f"one of {', '.join(AGENTS)}")
    for option in _CHECKED:
        if getattr(options, option) and option not in _TAKES[name]:
            raise UsageError(f"the agent `{name}` has no use for --{_flag(option)}", hint="leave it out")
    return _MAKERS[name](options)


def _environment(options: AgentOptions) -> dict[str, str]:
    temporary = {}
    if options.temporary is not None:
        temporary = {"TMPDIR": str(options.temporary)}
    return {**temporary, **options.environment}


def _codex(options: AgentOptions) -> Agent:
    private = ["sandbox_workspace_write.exclude_slash_tmp=true"] if options.temporary is not None else []
    return CodexAgent(
        binary=options.binary or "codex",
        model=options.model,
        reasoning_effort=options.reasoning_effort,
        profile=options.profile,
        sandbox=options.sandbox,
        search=options.search,
        ephemeral=options.ephemeral,
        extra_config=[*private, *options.extra],
        environment=_environment(options),
        prices=load_prices(options.prices),
    )


def _claude(options: AgentOptions) -> Agent:
    return ClaudeAgent(
        binary=options.binary or "claude",
        model=options.model,
        effort=options.reasoning_effort,
        search=options.search,
        ephemeral=options.ephemeral,
        extra_arguments=options.extra,
        environment=_environment(options),
        prices=load_prices(options.prices),
    )


def _gemini(options: AgentOptions) -> Agent:
    return GeminiAgent(
        binary=options.binary or "gemini",
        model=options.model,
        extra_arguments=options.extra,
        environment=_environment(options),
        prices=load_prices(options.prices),
    )


def _opencode(options: AgentOptions) -> Agent:
    return OpencodeAgent(
        binary=options.binary or "opencode",
        model=options.model,
        variant=options.reasoning_effort,
        extra_arguments=options.extra,
        environment=_environment(options),
        prices=load_prices(options.prices),
    )


def _command(options: AgentOptions) -> Agent:
    if not options.command:
        raise UsageError("the agent `command` needs a program", hint="--agent-command 'my-agent --flag'")
    return CommandAgent(options.command, _environment(options), model=options.model or "")


_MAKERS: Mapping[str, Callable[[AgentOptions], Agent]] = {
    "tuner": lambda options: TunerAgent(options.seed),
    "codex": _codex,
    "claude": _claude,
    "gemini": _gemini,
    "opencode": _opencode,
    "command": _command,
}
