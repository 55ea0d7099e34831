"""The evidence of a project, kept between calls: one row per source, so that only what changed is read again.

It is a cache. Everything in it can be collected again from the sources, and a store of another version or a damaged
one is thrown away.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cairn.errors import TryAgain
from cairn.retro.facts import Document
from cairn.retro.sources import Source

VERSION = "3"  # of the readers: another number makes every source be read again
_RACY_NS = 2_000_000_000  # a file written this recently may change again within its time stamp
_TABLES = """
create table if not exists meta (key text primary key, value text);
create table if not exists sources (
  path text primary key, kind text, size integer, mtime_ns integer, seen_ns integer, sha256 text, reader text,
  title text, date text, status text, facts integer, notes integer, warnings text, distilled text, data blob);
"""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """What is known of a source without reading its facts. `distilled`: hash it had when a retrospective used it."""

    path: str
    kind: str
    size: int
    sha256: str
    reader: str
    title: str
    date: str | None
    status: str | None
    facts: int
    notes: int
    warnings: tuple[str, ...]
    distilled: str | None

    @property
    def new(self) -> bool:
        """Whether no retrospective has used it as it is now."""
        return self.distilled != self.sha256


def _row(values: tuple[Any, ...]) -> Row:
    return msgspec.convert([*values[:10], json.loads(values[10]), values[11]], Row)


@dataclass(frozen=True)
class Read:
    """A source as a worker read it."""

    source: Source
    size: int
    mtime_ns: int
    sha256: str
    document: bytes
    head: dict[str, Any]


class Store:
    """The store of one project, open for one command."""

    def __init__(self, root: Path) -> None:
        self.folder = root / ".cairn" / "retro"
        self.path = self.folder / "evidence.sqlite3"
        self.folder.mkdir(parents=True, exist_ok=True)
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        for _ in range(2):
            connection = sqlite3.connect(self.path, timeout=30)
            try:
                connection.executescript(_TABLES)
                found = connection.execute("select value from meta where key = 'version'").fetchone()
                if found is None or found[0] != VERSION:
                    keep = dict(
                        connection.execute("select path, distilled from sources where distilled is not null")
                    )
                    connection.execute("delete from sources")
                    connection.execute("insert or replace into meta values ('version', ?)", (VERSION,))
                    connection.execute("insert or replace into meta values ('distilled', ?)", (json.dumps(keep),))
                    connection.commit()
                return connection
            except sqlite3.OperationalError as error:
                connection.close()
                raise TryAgain(
                    f"{self.path}: {error}", hint="another collect may be running; try again"
                ) from error
            except sqlite3.DatabaseError:
                connection.close()
                self.path.unlink(missing_ok=True)  # damaged: it is only a cache
        raise TryAgain(f"{self.path} cannot be opened", hint="delete it; it is made again")

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self) -> list[Row]:
        """All sources in the order of their paths."""
        found = self._connection.execute(
            "select path, kind, size, sha256, reader, title, date, status, facts, notes, warnings, distilled"
            " from sources order by path"
        )
        return [_row(row) for row in found]

    def stale(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The sources that must be read: not yet known, or changed since."""
        known = {
            path: (size, mtime, seen, sha, kind)
            for path, size, mtime, seen, sha, kind in self._connection.execute(
                "select path, size, mtime_ns, seen_ns, sha256, kind from sources"
            )
        }
        for source in sources:
            row = known.get(source.relative)
            try:
                info = source.path.stat()
            except OSError:
                continue
            if row is None or row[0] != info.st_size or row[4] != source.kind:
                yield source
            elif row[1] != info.st_mtime_ns or info.st_mtime_ns > row[2] - _RACY_NS:
                if digest(source.path) != row[3]:
                    yield source
                else:
                    self._connection.execute("update sources set mtime_ns = ?, seen_ns = ? where path = ?",
                                             (info.st_mtime_ns, time.time_ns(), source.relative))  # fmt: skip

    def save(self, reads: Iterable[Read]) -> None:
        """Keep what was read; what was distilled stays known."""
        before = json.loads(
            (self._connection.execute("select value from meta where key='distilled'").fetchone() or ["{}"])[0]
        )
        for read in reads:
            head = read.head
            row = self._connection.execute(
                "select distilled from sources where path = ?", (read.source.relative,)
            ).fetchone()
            distilled = row[0] if row else before.get(read.source.relative)
            self._connection.execute(
                "insert or replace into sources values (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (read.source.relative, read.source.kind, read.size, read.mtime_ns, time.time_ns(), read.sha256,
                 head["reader"], head["title"], head["date"], head["status"], head["facts"], head["notes"],
                 json.dumps(head["warnings"]), distilled, read.document),
            )  # fmt: skip
        self._connection.commit()

    def forget_others(self, kept: set[str]) -> list[str]:
        """Drop sources that are not there any more; gives their paths."""
        gone = [path for (path,) in self._connection.execute("select path from sources") if path not in kept]
        self._connection.executemany("delete from sources where path = ?", [(path,) for path in gone])
        self._connection.commit()
        return gone

    def documents(self, wanted: Callable[[Row], bool] = lambda row: True) -> Iterator[Document]:
        """The documents of the sources that are wanted, in the order of their paths."""
        paths = [row.path for row in self.rows() if wanted(row)]
        decoder = msgspec.msgpack.Decoder(Document)
        for path in paths:
            found = self._connection.execute("select data from sources where path = ?", (path,)).fetchone()
            if found:
                yield decoder.decode(found[0])

    def mark_distilled(self, paths: Iterable[str]) -> None:
        """Remember that a retrospective has used these sources as they are now."""
        self._connection.executemany(
            "update sources set distilled = sha256 where path = ?", [(path,) for path in paths]
        )
        self._connection.commit()


def digest(path: Path) -> str:
    """SHA-256 of a file; empty when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
