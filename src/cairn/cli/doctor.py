"""`cairn doctor`: what works here, and how to get the rest."""

from dataclasses import asdict
from pathlib import Path

import click

from cairn.cli.output import emit, json_option, registry_option, root_option


@click.command()
@root_option
@registry_option
@json_option
def doctor(root: Path | None, registry_path: Path | None, as_json: bool) -> None:
    """Try everything that cairn can use on this machine and say what works.

    Nothing is installed, changed or contacted. What is missing comes with the command that gets it; most of it is
    optional. Takes a few seconds.

    \b
    Example:
      cairn doctor --json
    """
    from rich.table import Table

    from cairn.cli.probes import ESSENTIAL, probe_all
    from cairn.cli.tables import rendered
    from cairn.registry import load_registry

    findings = list(probe_all(load_registry(root or Path.cwd(), registry_path)))
    works = {finding.name for finding in findings if finding.ok}
    commands = {command: possible(works) for command, possible in ESSENTIAL.items()}

    def text() -> str:
        table = Table("", "what", "found", "fix", "needed for")
        for finding in findings:
            mark = "ok" if finding.ok else "--"
            table.add_row(mark, finding.name, finding.detail, finding.fix, finding.needed_for)
        lines = [
            f"{'works' if possible else 'not yet'}: cairn {command}" for command, possible in commands.items()
        ]
        return rendered(table, *lines)

    emit({"findings": [asdict(finding) for finding in findings], "commands": commands}, as_json, text)
