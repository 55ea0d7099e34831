"""All facts of the sources as evidence: by value, by word, and what `compare` computes from them."""

import bisect
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from cairn.retro.compare import Board, Pair
from cairn.retro.facts import Document, Fact
from cairn.retro.ingest.text import decode, lines_of
from cairn.retro.sections import part_of
from cairn.retro.vocabulary import Domain
from cairn.text.units import unit_of

_WORD = re.compile(r"[^\W\d_]{2,}[\w%/@.+-]*|\d*[^\W\d_][\w.+-]*\d[\w.+-]*")
_IDLE_TEXT = """
the and for with that this from not are was all into than but its our has have had one two run runs value values result
results when use using used per over under about only more less gave gives best worst each both at of to in on is it by
as an or be we no new old other first last after before while which what then also up down
"""
_IDLE = frozenset(_IDLE_TEXT.split())


class Evidence:
    """All facts of the sources, by value and by word, and everything that `compare` computed from them."""

    def __init__(self, documents: Sequence[Document], domain: Domain, root: Path) -> None:
        self.domain = domain
        self.root = root
        self.facts = [fact for document in documents for fact in document.facts if fact.value is not None]
        self._sorted = sorted(((abs(fact.value or 0.0), at) for at, fact in enumerate(self.facts)))
        self._sorted_base = sorted(((abs(fact.base[0]), at) for at, fact in enumerate(self.facts) if fact.base[1]))
        self.paths = [document.path for document in documents]
        self.names = self._all_names(documents)
        runs = {fact.run for fact in self.facts if 2 < len(fact.run) < 80}
        self.runs = {run.casefold() for run in runs if not _generic(run, domain)}
        self._computed: list[tuple[float, str]] = []
        self._by_word: dict[str, list[int]] | None = None
        self._texts: dict[str, str] = {}
        self._lines: dict[str, list[str]] = {}

    def _all_names(self, documents: Iterable[Document]) -> set[str]:
        found: set[str] = set()
        for document in documents:
            found |= {document.path.casefold(), Path(document.path).stem.casefold(), document.title.casefold()}
            for fact in document.facts:
                found |= {fact.run.casefold(), fact.name.casefold(), fact.group.casefold()}
                if fact.value is None:
                    found.add(fact.raw.casefold())
        return found

    def compute(self, boards: Iterable[Board], pairs: Iterable[Pair]) -> None:
        """Let relative gains and differences that `compare` gives count as evidence."""
        for board in boards:
            for entry in board.entries:
                if entry.gain is not None:
                    self._computed.append(
                        (
                            abs(entry.gain) * 100,
                            f"gain of {entry.run.name} in {board.metric}, {entry.value.fact.where}",
                        )
                    )
        for pair in pairs:
            if pair.relative is not None:
                self._computed.append(
                    (
                        abs(pair.relative) * 100,
                        f"{pair.metric}: {pair.before.fact.where} against {pair.after.fact.where}",
                    )
                )

    def equal(self, claim: Fact) -> list[tuple[Fact, str]]:
        """Facts of the claim's value: exactly so, or as a rounding of what they state."""
        value, step = abs(claim.value or 0.0), _last_place(claim)
        found = self._near(self._sorted, value, step)
        unit = unit_of(claim.unit) if claim.unit else None
        if unit and unit.factor != 1.0:
            found += self._near(self._sorted_base, value * unit.factor, step * unit.factor)
        matches = []
        for at in dict.fromkeys(found):
            fact = self.facts[at]
            if _same_dimension(claim, fact) and _same_sign(claim, fact):
                stated = fact.value == claim.value or fact.raw == claim.raw or fact.base == claim.base
                matches.append((fact, "exact" if stated else "rounded"))
        return matches

    @staticmethod
    def _near(table: Sequence[tuple[float, int]], value: float, step: float) -> list[int]:
        low = bisect.bisect_left(table, (value - step / 2 - 1e-12 * value, -1))
        high = bisect.bisect_right(table, (value + step / 2 + 1e-12 * value, len(table)))
        return [at for _, at in table[low : min(high, low + 5000)]]

    def computed(self, claim: Fact) -> str | None:
        """Where a relative change comes from that nobody stated but `compare` computes."""
        if claim.unit not in ("%", "pp"):
            return None
        step = _last_place(claim)
        value = abs(claim.value or 0.0)
        return next((where for number, where in self._computed if abs(number - value) <= step / 2 + 1e-9), None)

    def near_words(self, words: set[str], limit: int = 3) -> list[Fact]:
        """The facts that share most words with a line; what the evidence holds instead."""
        if self._by_word is None:
            self._by_word = defaultdict(list)
            for at, fact in enumerate(self.facts):
                for word in words_of(f"{fact.name} {fact.run} {fact.group}"):
                    self._by_word[word].append(at)
        scores: dict[int, float] = defaultdict(float)
        for word in words:
            members = self._by_word.get(word, [])
            for at in members[:20_000]:
                scores[at] += 1.0 / (1 + len(members)) ** 0.5
        best = sorted(scores, key=lambda at: -scores[at])[:limit]
        return [self.facts[at] for at in best]

    def has_name(self, name: str) -> bool:
        """Whether a name occurs in what was read, or literally in a source."""
        folded = name.casefold().strip()
        if folded in self.names or any(folded in known for known in self.names if len(folded) > 3):
            return True
        return any(folded in self.text(path) for path in self.paths)

    def line(self, fact: Fact) -> str:
        """The line that a fact stands on, in one case; empty for a place without lines."""
        if fact.line is None:
            return ""
        if fact.path not in self._lines:
            self._lines[fact.path] = lines_of(self.text(fact.path))
        lines = self._lines[fact.path]
        return lines[fact.line - 1][:2000] if fact.line <= len(lines) else ""

    def text(self, path: str) -> str:
        """A source as text in one case, read once."""
        if path not in self._texts:
            try:
                data = (self.root / path).read_bytes()[: 16 * 2**20]
            except OSError:
                data = b""
            self._texts[path] = "" if b"\0" in data[:4096] else decode(data)[0].casefold()
        return self._texts[path]


def _generic(run: str, domain: Domain) -> bool:
    """Names of runs that are everyday words in a text: `Baseline`, `New`, `Peak VRAM`, `Results`."""
    words = words_of(run)
    return (
        not words
        or domain.knows(run)
        or bool(part_of(run))
        or words <= {"baseline", "delta", "final", "reference", "control"}
    )


def words_of(text: str) -> set[str]:
    """Telling words in one case; names with digits whole."""
    found = {each.strip(".-") for each in _WORD.findall(text.casefold().replace("_", " "))}
    found |= {
        part for each in found if "-" in each or "/" in each for part in re.split(r"[-/]", each) if len(part) > 2
    }
    return {
        each[:-1] if len(each) > 3 and each[-1] == "s" else each for each in found - _IDLE
    }  # `ranks` is `rank`


def _last_place(claim: Fact) -> float:
    """One unit in the last place that a claim shows, magnitude included: 34.4k shows hundreds."""
    match = re.search(r"(\d[\d,_]*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?\s*([kKMBGT](?![A-Za-z]))?", claim.raw)
    if not match:
        return 0.0
    step = 10.0 ** (-len(match[2] or "") + int(match[3] or 0))
    if match[4]:
        step *= {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}[match[4]]
    return step if match[2] or match[3] or match[4] else 0.0 if "~" not in claim.flags else step


def _same_dimension(claim: Fact, fact: Fact) -> bool:
    mine = unit_of(claim.unit) if claim.unit else None
    theirs = unit_of(fact.unit) if fact.unit else None
    if mine is None or theirs is None:
        return True
    return mine.dimension == theirs.dimension or {mine.dimension, theirs.dimension} == {"percent", "points"}


def _same_sign(claim: Fact, fact: Fact) -> bool:
    mine, theirs = claim.value or 0.0, fact.value or 0.0
    return "+" not in claim.flags or "+" not in fact.flags or mine * theirs >= 0
