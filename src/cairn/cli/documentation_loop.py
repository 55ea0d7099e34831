"""The generated parts of docs/climb.md, docs/agents.md and docs/gdnctl.md."""

import msgspec

from cairn.agents.catalogue import AGENTS, options_of
from cairn.agents.protocol import FAILURES
from cairn.cli.gdnctl import gdnctl
from cairn.cli.gdnctl.config import Config
from cairn.cli.gdnctl.flags import Flag
from cairn.cli.gdnctl.loop_options import GROUPS
from cairn.climb.directives import ALIASES, load_directives, preset_names
from cairn.climb.failures import OF_AGENT


def preset_table() -> str:
    """Every directive preset with its title, and the older names that stand for one."""
    rows = ["| preset | subject | also called |", "|---|---|---|"]
    for name in preset_names():
        older = ", ".join(f"`{alias}`" for alias, (ours, _) in ALIASES.items() if ours == name)
        rows.append(f"| `{name}` | {load_directives((), (), (name,))[0].title} | {older} |")
    return "\n".join([*rows, ""])


def agent_table() -> str:
    """Every agent with the options that it takes."""
    rows = ["| `--agent` | is | takes |", "|---|---|---|"]
    for name, text in AGENTS.items():
        rows.append(f"| `{name}` | {text} | {', '.join(f'`--{option}`' for option in options_of(name))} |")
    return "\n".join([*rows, ""])


def agent_failure_table() -> str:
    """What an agent's end can be called, and the class of the loop that it belongs to."""
    rows = ["| reason | what it is | class |", "|---|---|---|"]
    rows += [f"| `{reason}` | {text} | `{OF_AGENT[reason]}` |" for reason, text in FAILURES.items()]
    return "\n".join([*rows, ""])


def gdnctl_table() -> str:
    """Every subcommand of `gdnctl`."""
    rows = ["| subcommand | what it does |", "|---|---|"]
    rows += [f"| `{name}` | {command.get_short_help_str(200)} |" for name, command in gdnctl.commands.items()]
    return "\n".join([*rows, ""])


def gdnctl_defaults() -> str:
    """The defaults of gdnctl.toml, as TOML."""
    lines = ["```toml"]
    tables: dict[str, dict[str, object]] = {}
    for name, value in msgspec.to_builtins(Config()).items():
        if isinstance(value, dict):
            tables[name] = value
        else:
            lines.append(f"{name} = {_toml(value)}")
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join([*lines, "```", ""])


def _toml(value: object) -> str:
    return "{}" if value == {} else f"'{value}'" if isinstance(value, str) else str(value)


def codex_loop_tables() -> str:
    """Every flag of `codex-loop`: its default, and what it does or why it has nothing to do here."""
    parts = []
    for title, flags in GROUPS.items():
        parts += [f"### {title.capitalize()}", "", "| flag | default | meaning |", "|---|---|---|"]
        parts += [f"| `{flag.name}`{_repeated(flag)} | {_default(flag)} | {_meaning(flag)} |" for flag in flags]
        parts.append("")
    return "\n".join(parts)


def _repeated(flag: Flag) -> str:
    return " (repeatable)" if flag.many else ""


def _default(flag: Flag) -> str:
    if flag.kind == "flag":
        return "on" if flag.default else "off"
    return "" if flag.default is None else f"`{flag.default}`"


def _meaning(flag: Flag) -> str:
    values = f" One of {', '.join(f'`{choice}`' for choice in flag.choices)}." if flag.choices else ""
    return f"*no effect here*: {flag.meaning}" if flag.idle else f"{flag.meaning}{values}"
