"""What earlier work taught about this kernel on this chip: index lines of AGENT.md for the agent's prompt."""

from pathlib import Path

from cairn.learnings.parse import parse, read_text
from cairn.learnings.search import Query, index_line, search

_MOST_LINES = 12


def matching_learnings(path: Path, kernel: str, chip: str) -> list[str]:
    """One line for each active learning that fits, best first; nothing when there is no file.

    Raises:
        BadInput: the file is not text.
    """
    if not path.exists():
        return []
    hits = search(Query(kernel=kernel, chips=(chip,)), parse(read_text(path)).entries, _MOST_LINES)
    return [index_line(hit.entry, hit.evidence) for hit in hits]
