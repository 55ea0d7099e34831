"""Which run is meant: a climb's name, a folder with a ledger, a batch round's folder, or a book of receipts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cairn.errors import BadInput, Missing
from cairn.registry import Registry

LEDGER, RECEIPTS = "ledger.jsonl", "receipts.jsonl"


@dataclass(frozen=True)
class Source:
    """A run's folder and what lies in it."""

    folder: Path
    kind: Literal["climb", "rounds", "judgements"]


def find_source(given: str | None, registry: Registry) -> Source:
    """The run a user names by path or by name; the one that was active last when none is named.

    Raises:
        Missing: there is no such run, or none at all.
        BadInput: the folder holds nothing that a report could be made of.
    """
    runs = registry.paths.runs
    if given is None:
        return _newest(runs)
    for path in (Path(given), runs / given):
        if path.name in (LEDGER, RECEIPTS) and path.is_file():
            path = path.parent
        if path.is_dir():
            if (found := source_in(path)) is not None:
                return found
            hint = f"it needs {LEDGER}, {RECEIPTS} or iteration_N/variants/NAME/eval_result.json"
            raise BadInput("no run: nothing to report", path=path, hint=hint)
    known = ", ".join(each.folder.name for each in sources_in(runs)[:8])
    raise Missing(f"no run `{given}`", hint=f"runs below {runs}: {known or 'none'}; or name a folder")


def source_in(folder: Path) -> Source | None:
    """What a folder is, or None when it is no run."""
    if (folder / LEDGER).is_file():
        return Source(folder, "climb")
    if any(folder.glob("iteration*")) or (folder / "lineages.json").is_file():
        return Source(folder, "rounds")
    if (folder / RECEIPTS).is_file():
        return Source(folder, "judgements")
    if (folder / "lock").exists() or (folder / "owner.json").exists():
        return Source(folder, "climb")  # a climb that has not written its first line yet
    return None


def sources_in(folder: Path) -> list[Source]:
    """Every run directly below a folder, by name; the folder itself when it is one."""
    if (own := source_in(folder)) is not None:
        return [own]
    below = sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
    return [found for each in below if (found := source_in(each)) is not None]


def _newest(runs: Path) -> Source:
    climbs = [each for each in sources_in(runs) if each.kind == "climb" and (each.folder / LEDGER).exists()]
    if not climbs:
        raise Missing(f"no climb below {runs}", hint="name a run, or start one: cairn climb kernels/gdn")
    return max(climbs, key=lambda each: (each.folder / LEDGER).stat().st_mtime)
