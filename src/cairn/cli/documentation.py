"""Documentation that is generated from the program, so that it cannot disagree with it."""

from collections.abc import Iterator

import click

from cairn.cli.main import COMMANDS, cairn
from cairn.roofline import chips

_WIDTH = 100


def walk_commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its full name, groups before their members."""
    context = click.Context(cairn, info_name="cairn")
    for name in sorted(COMMANDS):
        command = cairn.get_command(context, name)
        assert command is not None
        yield from _walk(f"cairn {name}", command)


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for child in sorted(command.commands):
            yield from _walk(f"{name} {child}", command.commands[child])


def command_pages() -> str:
    """The `--help` of every command as Markdown."""
    pages = []
    for name, command in walk_commands():
        context = click.Context(command, info_name=name, max_content_width=_WIDTH, terminal_width=_WIDTH)
        pages.append(f"\n## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "".join(pages)


def command_table() -> str:
    """One line for each top-level command."""
    rows = [f"| `cairn {name}` | {text} |" for name, text in sorted(COMMANDS.items())]
    return "\n".join(["| command | what it does |", "|---|---|", *rows, ""])


def chip_table() -> str:
    """Chips, their peaks and where the figures come from."""
    rows = ["| chip | device | bf16 TFLOP/s | HBM GB/s (largest) | on-chip MiB | compiles here | source |"]
    rows.append("|---|---|---|---|---|---|---|")
    for name, chip in chips().items():
        hbm = f"{chip.hbm_gb_s:g} ({chip.hbm_max_gb_s:g})"
        compiles = "yes" if chip.topology else "no"
        peak = f"{chip.tflops['bfloat16']:g}"
        rows.append(
            f"| `{name}` | {chip.device} | {peak} | {hbm} | {chip.on_chip_mib:g} | {compiles} | {chip.source} |"
        )
    return "\n".join([*rows, ""])


def verdict_table() -> str:
    """Every verdict with its reasons and what each means."""
    from cairn.judge.verdict import REASONS, Verdict  # numpy comes with it, and only this table needs it

    rows = ["| verdict | reason | meaning |", "|---|---|---|"]
    for verdict in Verdict:
        for reason, (given, _, meaning) in REASONS.items():
            if given is verdict:
                rows.append(f"| `{verdict}` | `{reason}` | {meaning} |")
    return "\n".join([*rows, ""])


def ledger_table() -> str:
    """Every event that a ledger may hold, with what it says."""
    from cairn.climb.ledger import EVENTS

    rows = [f"| `{event}` | {meaning} |" for event, meaning in EVENTS.items()]
    return "\n".join(["| event | says |", "|---|---|", *rows, ""])


def ends_table() -> str:
    """Every reason for which a climb ends, with its exit code."""
    from cairn.climb.ends import ENDS

    rows = [f"| `{reason}` | {end.code} | {end.meaning} |" for reason, end in ENDS.items()]
    return "\n".join(["| reason | exit code | meaning |", "|---|---|---|", *rows, ""])
