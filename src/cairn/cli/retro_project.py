"""What the retro commands share: the project, its evidence brought up to date, and the sources that are meant."""

import fnmatch
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cairn.cli.output import F, json_option, registry_option, root_option, say
from cairn.errors import UsageError
from cairn.registry import Registry, load_registry
from cairn.retro.apply import finish
from cairn.retro.collect import Collected, collect
from cairn.retro.facts import Document
from cairn.retro.store import Row, Store
from cairn.retro.vocabulary import Domain, domain_of


@dataclass(frozen=True)
class Project:
    """An open project: its evidence is as new as its files."""

    registry: Registry
    domain: Domain
    store: Store
    collected: Collected

    @property
    def root(self) -> Path:
        return self.registry.root

    def documents(self, patterns: Sequence[str] = (), since: str | None = None) -> list[Document]:
        """The documents of the sources that are meant; all of them without patterns.

        Raises:
            UsageError: a pattern that no source fits.
        """
        for pattern in patterns:
            if not any(fits(row, pattern) for row in self.collected.rows):
                raise UsageError(f"no source fits `{pattern}`", hint="cairn retro collect lists the sources")
        wanted = chosen(patterns, since)
        return list(self.store.documents(wanted))


def chosen(patterns: Sequence[str], since: str | None) -> Callable[[Row], bool]:
    """Whether a source is meant by patterns (paths, folders, globs or words of its title) and a day."""

    def wanted(row: Row) -> bool:
        new = since is None or (row.date or "") >= since
        return new and (not patterns or any(fits(row, pattern) for pattern in patterns))

    return wanted


def fits(row: Row, pattern: str) -> bool:
    """A path, a folder above it, a glob, or a word of the title or name."""
    clean = pattern.removeprefix("./").rstrip("/")
    return (
        row.path == clean
        or row.path.startswith(f"{clean}/")
        or fnmatch.fnmatch(row.path, clean)
        or clean.casefold() in f"{row.title} {row.path}".casefold()
    )


@contextmanager
def open_project(
    root: Path | None, registry_path: Path | None, named: Sequence[Path] = (), *, again: bool = False
) -> Iterator[Project]:
    """Find the project, bring its evidence up to date, and say what was odd about it."""
    registry = load_registry(root or Path.cwd(), registry_path)
    for warning in registry.warnings:
        say(f"cairn: {warning}")
    domain = domain_of(registry.root, registry.domain)
    for path in finish(registry):
        say(f"cairn: {path}: written now; an apply was cut short")
    with Store(registry.root) as store:
        collected = collect(registry, store, named, again=again)
        for warning in collected.warnings:
            say(f"cairn: {warning}")
        yield Project(registry, domain, store, collected)


def project_options(command: F) -> F:
    """`--root`, `--registry` and `--json`."""
    return root_option(registry_option(json_option(command)))


def sources_argument(command: F) -> F:
    """SOURCES: which reports, logs and stores; and `--since`."""
    command = click.argument("sources", nargs=-1)(command)
    return click.option("--since", metavar="YYYY-MM-DD", help="Only sources dated on or after this day.")(command)


def limit_option(default: int) -> Callable[[F], F]:
    """`--limit`: how much is printed."""
    return click.option(
        "--limit",
        default=default,
        show_default=True,
        type=click.IntRange(1),
        help="Print at most this many of each.",
    )


def directions(values: Sequence[str]) -> dict[str, str]:
    """`METRIC=higher|lower` arguments.

    Raises:
        UsageError: one is neither.
    """
    found = {}
    for value in values:
        name, _, way = value.partition("=")
        if way not in ("higher", "lower") or not name:
            raise UsageError(f"--direction `{value}`", hint="write --direction METRIC=higher or METRIC=lower")
        found[name.casefold()] = way
    return found


def direction_option(command: F) -> F:
    """`--direction`: which way a metric is better."""
    text = "METRIC=higher or METRIC=lower, where cairn does not know it; may be given several times."
    return click.option("--direction", "told", multiple=True, help=text)(command)


def short(value: Any, digits: int = 4) -> Any:
    """A computed number short enough for a small model; stated numbers are printed raw."""
    return None if value is None else float(f"{value:.{digits}g}")
