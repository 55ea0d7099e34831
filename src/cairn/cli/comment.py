"""`cairn comment`: the round's comment as a file, and sending exactly that file; only that uses the network."""

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cairn.cli.learning_file import learnings_path, project_options
from cairn.cli.output import dry_run_option, emit
from cairn.cli.round_facts import facts_of
from cairn.errors import BadInput, UsageError
from cairn.journal import Journal
from cairn.learnings.parse import read_text
from cairn.registry import load_registry
from cairn.rounds.comment import LIMIT, marker_of, render
from cairn.rounds.outbox import Letter, letters, put
from cairn.rounds.plan import Plan, learned, notable, read_plan
from cairn.rounds.record import JOURNAL, last, write_comment
from cairn.text.redact import redact

if TYPE_CHECKING:  # PyGithub takes 180 ms to import, and only sending needs it
    from cairn.github import Posted

_OUTBOX = Path(".cairn") / "outbox"


def private_words() -> tuple[str, ...]:
    """Names that must not leave this machine."""
    name = platform.node()
    return () if name == "localhost" else (name, name.partition(".")[0])


@click.group()
def comment() -> None:
    """Write the summary comment of a round, and send it to its tracking issue.

    `preview` needs nothing; `post` and `flush` need the network and a token (GITHUB_TOKEN, GH_TOKEN, or gh).
    """


@comment.command()
@click.argument("folder", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.option("--round", "number", type=int, help="The round. Default: the last one.")
@click.option(
    "--plan", "plan_path", type=click.Path(path_type=Path), help="The plan that was recorded, for its notes."
)
@click.option("--picture", metavar="ADDRESS", default="", help="Show the picture at this address (a web address).")
@dry_run_option
@project_options
def preview(
    folder: Path, number: int | None, dry_run: bool, root: Path | None, registry_path: Path | None, **given: object
) -> None:
    """Write the comment of a round to comment.md beside its other files: redacted, cut to size, the same every time.

    `cairn round record` has done this already; use it for a round that was not recorded, or to look at it.
    A picture comes from `cairn report RUN_DIR --svg climb.svg`, put where the readers of the issue can see it.

    \b
    Example:
      cairn comment preview runs/gdn_20260506_101500 --round 4 --dry-run
    """
    picture = _address(str(given["picture"]))
    plan = read_plan(Path(str(given["plan_path"]))) if given["plan_path"] else None
    facts = facts_of(folder, number, learnings_path(root, registry_path), plan.keys.kernel if plan else None)
    done = last(Journal(facts.round.folder / JOURNAL).read().records, "learnings.done")
    ids = done["ids"] if done else []
    new = learned(plan, ids) if plan else [f"[{name}]" for name in ids]
    body, taken = render(facts, new, _notes(plan), facts.run.lineages, private_words(), picture=picture)
    paths = [] if dry_run else write_comment(facts, body)
    data = {
        "files": [str(path) for path in paths],
        "body": body,
        "redacted": [{"kind": each.kind, "line": each.line} for each in taken],
    }
    emit(data, bool(given["as_json"]), body if dry_run else "\n".join(f"wrote {path}" for path in paths))


def _address(text: str) -> str:
    """A web address without what could end the Markdown it stands in.

    Raises:
        UsageError: it is none.
    """
    if text and not re.fullmatch(r"https?://[^\s<>()\[\]`|\\\"]+", text):
        raise UsageError(f"`{text[:80]}` is no web address", hint="--picture https://...")
    return text


def _notes(plan: Plan | None) -> dict[str, str]:
    return notable(plan) if plan else {}


@comment.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--repo", required=True, metavar="OWNER/NAME", help="The repository; never guessed.")
@click.option("--issue", required=True, type=click.IntRange(1), help="The tracking issue's number.")
@click.option("--api", metavar="URL", help="API of GitHub Enterprise. Default: GITHUB_API_URL, else github.com.")
@click.option("--public", is_flag=True, help="These results may stand in a public repository.")
@dry_run_option
@project_options
def post(
    file: Path, dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool, **given: object
) -> int:
    """Send FILE as it is. Sending it again edits the comment instead of adding one.

    Without an answer, or at a rate limit, it waits in .cairn/outbox for `cairn comment flush` (exit 75).

    \b
    Example:
      cairn comment post runs/gdn_20260506_101500/iteration_4/comment.md --repo octo/kernels --issue 12
    """
    api = str(given["api"] or os.environ.get("GITHUB_API_URL") or "https://api.github.com")
    issue = given["issue"]
    assert isinstance(issue, int)
    letter = Letter(api, str(given["repo"]), issue, bool(given["public"]), body_of(file), str(file.resolve()))
    if dry_run:
        data = {"file": str(file), "repo": letter.repo, "issue": issue, "api": api, "sent": False}
        emit(data, as_json, f"would send {file} to {letter.repo}#{issue} at {api}")
        return 0
    from cairn.errors import Unreachable

    try:
        sent = send(letter)
    except Unreachable as error:
        path = put(load_registry(root or Path.cwd(), registry_path).root / _OUTBOX, letter)
        data = {"file": str(file), "sent": False, "queued": str(path), "why": error.message}
        emit(data, as_json, f"queued as {path}: {error.message}")
        return error.exit_code
    data = {"file": str(file), "sent": True, "action": sent.action, "url": sent.url}
    emit(data, as_json, f"{sent.action}: {sent.url}")
    return 0


def body_of(file: Path) -> str:
    """The file's text, if it may be sent.

    Raises:
        BadInput: it is not there, has no marker, is too long, or holds what must not leave.
    """
    if not file.is_file():
        raise BadInput("not there", path=file, hint="make it with `cairn comment preview`")
    body = read_text(file)
    if marker_of(body) is None:
        raise BadInput("no marker at its end", path=file, hint="make it with `cairn comment preview`")
    if len(body) > LIMIT:
        raise BadInput(
            f"{len(body)} characters; GitHub takes {LIMIT}", path=file, hint="preview cuts it into parts"
        )
    _, found = redact(body, private_words())
    if found:
        kinds = ", ".join(sorted({each.kind for each in found}))
        raise BadInput(
            f"holds what must not leave: {kinds}", path=file, line=found[0].line, hint="take it out by hand"
        )
    return body


def send(letter: Letter) -> "Posted":
    """Send one comment and tell its round.

    Raises:
        Missing, UsageError, Unreachable: as `Poster.post` says.
    """
    from cairn.github import Poster, Target, find_token

    target = Target(letter.repo, letter.issue, letter.api)
    sent = Poster(target, find_token(letter.api)).post(letter.body, public=letter.public)
    journal = Journal(Path(letter.source).parent / JOURNAL)
    if journal.path.is_file() and last(journal.read().records, "comment.posted", url=sent.url) is None:
        journal.append({"event": "comment.posted", "url": sent.url})
    return sent


@comment.command()
@dry_run_option
@project_options
def flush(dry_run: bool, root: Path | None, registry_path: Path | None, as_json: bool) -> int:
    """Send what waits in the outbox; exit 75 while something remains.

    \b
    Example:
      cairn comment flush
    """
    folder = load_registry(root or Path.cwd(), registry_path).root / _OUTBOX
    waiting = list(letters(folder))
    rows = []
    for path, letter in waiting:
        row: dict[str, object] = {"file": letter.source, "repo": letter.repo, "issue": letter.issue}
        rows.append(row | (_sent(path, letter) if not dry_run else {"sent": False}))
    lines = [f"{row['repo']}#{row['issue']}: {row.get('url') or row.get('why') or 'waits'}" for row in rows]
    emit({"outbox": str(folder), "comments": rows}, as_json, "\n".join([*lines, f"{len(rows)} in the outbox"]))
    return 75 if any(not row["sent"] for row in rows) and not dry_run else 0


def _sent(path: Path, letter: Letter) -> dict[str, object]:
    """Send one; it leaves the outbox only when it stands at GitHub."""
    from cairn.errors import Unreachable

    try:
        sent = send(letter)
    except (Unreachable, UsageError) as error:
        return {"sent": False, "why": error.message}
    path.unlink()
    return {"sent": True, "action": sent.action, "url": sent.url}
