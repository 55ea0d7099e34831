"""Bring the evidence up to date: find the sources, read the changed ones on all cores, keep the rest."""

import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cairn.process import cores
from cairn.registry import Registry
from cairn.retro.ingest.evolve import doubt, untrusted
from cairn.retro.ingest.read import read_source
from cairn.retro.sources import Source, find_sources
from cairn.retro.store import Read, Row, Store, digest

_WORTH_A_POOL_BYTES = 2_000_000
_MAX_WORKERS = 8


@dataclass(frozen=True)
class Collected:
    """What a collect did. `read`: sources that were new or changed; `gone`: those that are not there any more."""

    rows: tuple[Row, ...]
    read: tuple[str, ...]
    gone: tuple[str, ...]
    warnings: tuple[str, ...]


def collect(registry: Registry, store: Store, named: Sequence[Path] = (), *, again: bool = False) -> Collected:
    """Read what changed since the last time. `named`: further files; `again`: read everything."""
    sources, warnings = find_sources(registry, named)
    stale = sources if again else list(store.stale(sources))
    reasons = _reasons(stale)
    store.save(_read_all(stale, reasons))
    gone = store.forget_others({source.relative for source in sources})
    return Collected(tuple(store.rows()), tuple(source.relative for source in stale), tuple(gone), tuple(warnings))


def _reasons(stale: Iterable[Source]) -> dict[str, str]:
    """Why results of other optimisers are not to be trusted, by source; each run is looked at once."""
    runs: dict[Path, list[Source]] = {}
    for source in stale:
        if source.path.name == "eval_result.json":
            folder = source.path.parent
            run = folder.parent.parent.parent if folder.parent.name == "variants" else folder.parent
            runs.setdefault(run, []).append(source)
    found = {}
    for run, members in runs.items():
        why = untrusted(run)
        for source in members:
            if reason := why.get(source.path.relative_to(run).as_posix()):
                found[source.relative] = reason
    return found


def _read_all(sources: Sequence[Source], reasons: dict[str, str]) -> Iterator[Read]:
    jobs = [(source, reasons.get(source.relative, "")) for source in sources]
    workers = min(cores(), _MAX_WORKERS, len(jobs))
    total = sum(_size(source.path) for source in sources)
    if workers < 2 or total < _WORTH_A_POOL_BYTES:
        yield from map(read_one, jobs)
        return
    jobs.sort(key=lambda job: -_size(job[0].path))
    # fork: the doors in scripts/ are programs without a main guard, which other start methods would run again
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        yield from pool.map(read_one, jobs, chunksize=max(1, min(16, len(jobs) // (workers * 4))))


def read_one(job: tuple[Source, str]) -> Read:
    """Read one source, ready to be stored."""
    source, reason = job
    try:
        info = source.path.stat()
        size, mtime_ns = info.st_size, info.st_mtime_ns
    except OSError:
        size, mtime_ns = 0, 0
    sha256 = digest(source.path)
    document = read_source(source.path, source.relative, source.kind)
    if reason:
        document.facts = doubt(document.facts)
        document.warnings.append(f"not trusted by the results gate: {reason}")
    head = {
        "reader": document.reader,
        "title": document.title,
        "date": document.date,
        "status": document.status,
        "facts": sum(fact.value is not None for fact in document.facts),
        "notes": len(document.notes),
        "warnings": document.warnings,
    }
    return Read(source, size, mtime_ns, sha256, msgspec.msgpack.encode(document), head)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
