"""Receipts: what the judge found, written by the judge alone, one JSON line each, never changed.

Each receipt carries the hash of the one before it, so a line that was edited, removed or moved breaks the chain.
A hash is not a signature: somebody who rewrites the whole file leaves a valid chain. It protects against accidents
and against a careless agent, not against the owner of the disk.
"""

import hashlib
import json
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from cairn.journal import Journal, SoleJournal, replacing

SCHEMA = 1
_NO_PREVIOUS = "0" * 64


class ReceiptBook:
    """The receipts of a climb or of single judgements, in one append-only file; safe in any thread.

    Args:
        sole: no other process adds to it, as in a climb: then what somebody else writes there is put back.
    """

    def __init__(self, path: Path, *, sole: bool = False) -> None:
        self.path = path
        self._journal = SoleJournal(path) if sole else Journal(path)
        self._lock = FileLock(str(path) + ".lock")
        self._known: list[dict[str, Any]] = []
        self._offset = 0
        self._threads = threading.RLock()  # judges that work side by side share a book

    def add(self, record: dict[str, Any]) -> dict[str, Any]:
        """Write a receipt; give it back with its id, its time, the hash before it and its own.

        `record["sources"]`, bytes by digest, goes into files of their own beside the receipts: they are what a later
        `cairn judge verify` judges again.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._threads:
            return self._add(record)

    def _add(self, record: dict[str, Any]) -> dict[str, Any]:
        self._keep_sources(record.get("sources", {}))
        record = {key: value for key, value in record.items() if key != "sources"}
        now = datetime.now(UTC)
        with self._lock:
            records = self.all()
            receipt: dict[str, Any] = {
                "schema": SCHEMA,
                "id": f"r-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
                "time": now.isoformat(timespec="milliseconds"),
                **record,
                "previous": records[-1].get("hash", _NO_PREVIOUS) if records else _NO_PREVIOUS,
            }
            receipt["hash"] = receipt_hash(receipt)
            self._journal.append(receipt)
        return receipt

    def source(self, digest: str) -> bytes | None:
        """The text that a receipt of this book was about, None when it is not there."""
        path = self.path.parent / "sources" / digest
        return path.read_bytes() if path.is_file() else None

    def _keep_sources(self, sources: Mapping[str, bytes]) -> None:
        for digest, text in sources.items():
            path = self.path.parent / "sources" / digest
            if not path.is_file():
                path.parent.mkdir(exist_ok=True)
                with replacing(path) as temporary:
                    temporary.write_bytes(text)

    def all(self) -> list[dict[str, Any]]:
        """Every receipt, oldest first; a line torn by a kill was never announced and is left out."""
        with self._threads:
            self._offset = self._journal.read_on(self._known, self._offset)
            return list(self._known)

    def repair(self) -> str:
        """Put back what somebody else changed in a book of one writer; what was found, empty when all was well."""
        with self._threads:
            return self._journal.repair() if isinstance(self._journal, SoleJournal) else ""

    def find(self, **fields: object) -> dict[str, Any] | None:
        """The newest receipt whose top-level fields have these values."""
        matching = (receipt for receipt in reversed(self.all()) if fields.items() <= receipt.items())
        return next(matching, None)

    def broken_links(self) -> list[str]:
        """Ids of receipts whose own hash or link to the one before does not hold."""
        broken = []
        before = _NO_PREVIOUS
        for receipt in self.all():
            if receipt.get("previous") != before or receipt.get("hash") != receipt_hash(receipt):
                broken.append(str(receipt.get("id")))
            before = str(receipt.get("hash"))
        return broken


def receipt_hash(receipt: dict[str, Any]) -> str:
    """sha256 over everything but the hash itself, in a canonical form."""
    body = {key: value for key, value in receipt.items() if key != "hash"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
