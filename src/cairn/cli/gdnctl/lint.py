"""`gdnctl lint-log`: is the run's log sound, in its form and, beside its ledger, in its facts?"""

import os
from pathlib import Path

import click

from cairn.cli.gdnctl.config import LOG_VARIABLE, find_root
from cairn.cli.output import emit, json_option

_FOLDER = ".agents/logs/gdn_codex_loop"
_LOG = "log.md"


@click.command("lint-log")
@click.option("--log-file", type=click.Path(path_type=Path), default=None, help=f"Default: {_FOLDER}/{_LOG}.")
@click.option(
    "--scope", type=click.Choice(["last-entry", "all"]), default="last-entry", show_default=True, help="What."
)
@click.option("--allow-pending", is_flag=True, help="A commit may still be `(pending)`.")
@click.option("--allow-this-commit", is_flag=True, help="A commit may be `this commit`.")
@click.option("--allow-non-monotonic", is_flag=True, help="Entries may be out of order.")
@json_option
@click.pass_context
def lint_log(context: click.Context, /, log_file: Path | None, scope: str, as_json: bool, **allowed: bool) -> None:
    """Check a log; exit 1 for a fault, 2 when there is no such file.

    Beside a ledger, required fields, commits and numbers are compared with it. A default log that no attempt has
    written to yet is sound.

    \b
    Example:
      gdnctl lint-log --scope all
    """
    from cairn.climb.ledger import Ledger
    from cairn.climb.log_lint import LintOptions
    from cairn.climb.log_lint import lint_log as lint
    from cairn.climb.state import fold
    from cairn.git import Git

    root = find_root(Path.cwd())
    path = log_file or Path(os.environ.get(LOG_VARIABLE, root / _FOLDER)) / _LOG
    if not path.is_file():
        if log_file is None:
            emit({"log": str(path), "findings": []}, as_json, f"{path}: no attempt has written it yet")
            return
        click.echo(f"cairn: {path} does not exist", err=True)
        context.exit(2)
    ledger = path.parent / "ledger.jsonl"
    state = fold(Ledger(ledger).events) if ledger.is_file() else None
    git = Git(root)
    exists = (lambda sha: git.commit_of(sha) is not None) if state is not None else None
    found = lint(path, state, LintOptions(scope, **allowed), exists)
    data = {"log": str(path), "findings": [vars(finding) for finding in found]}
    lines = [f"{path}:{finding.line}: {finding.code}: {finding.message}" for finding in found]
    emit(data, as_json, "\n".join(lines) or f"{path}: sound")
    context.exit(1 if found else 0)
