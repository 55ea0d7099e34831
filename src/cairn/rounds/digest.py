"""The facts of a round: everything that can be computed, so that the assistant only has to judge and to write.

For each variant: what it was to try, what became of it, whether it may be believed, which others failed alike, and
which entries of AGENT.md may hold the lesson already. The suggestion follows the rules of the skill; it is not a
decision.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.learnings.evidence import evidence_of
from cairn.learnings.model import Entry
from cairn.learnings.signature import decisive_line, signature
from cairn.learnings.similar import Candidate, Draft, similar
from cairn.rounds.lineages import lineage_of, seen
from cairn.rounds.reading import MISSING, Round, Run, Variant, number
from cairn.rounds.trust import NOT_CHECKED, UNTRUSTED, Trust, Verdicts

WORTH = 1.05  # a gain below five percent over the best before teaches nothing
SURE = 85.0  # from this likeness on, an existing entry is to be extended
FAILURE, SUCCESS, EXTEND, SKIP = "failure", "success", "extend", "skip"
_SLIP = re.compile(
    r"\b(?:SyntaxError|IndentationError|NameError|ImportError|ModuleNotFoundError|AttributeError)\b"
)
_STAMP = re.compile(r"[_-]\d{8}[_-]\d{6}$")


@dataclass(frozen=True)
class Suggestion:
    """What the rules say about a variant: failure, success, extend (with `id`) or skip, and why."""

    kind: str
    why: str
    id: str | None = None


@dataclass(frozen=True)
class Known:
    """What is recorded already: the entries of AGENT.md, and those that left it."""

    entries: Sequence[Entry] = ()
    archived: Sequence[Entry] = ()

    def may_extend(self, entry: Entry) -> bool:
        """Whether an entry stands in the file itself and still holds."""
        return entry in self.entries and evidence_of(entry).active


@dataclass(frozen=True)
class Fact:
    """One variant of the round. `alike`: others with the same error; `gain`: over the best before the round."""

    variant: Variant
    trust: Trust
    lineage: str | None
    gain: float | None
    message: str
    signature: str
    alike: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    suggestion: Suggestion


@dataclass(frozen=True)
class Digest:
    """A round as facts. `best_before`: the highest speedup of earlier rounds, 1.0 when there is none."""

    run: Run
    round: Round
    kernel: str
    best_before: float
    facts: tuple[Fact, ...]

    def fact(self, name: str) -> Fact | None:
        return next((each for each in self.facts if each.variant.name == name), None)


def digest(run: Run, this: Round, verdicts: Verdicts, known: Known, kernel: str | None = None) -> Digest:
    """Gather the facts of one round."""
    best = best_before(run, this, verdicts)
    signatures = {each.name: signature(each.error) for each in this.variants}
    facts = tuple(
        _fact(run, each, verdicts.get(each.path, NOT_CHECKED), best, (signatures, known)) for each in this.variants
    )
    return Digest(run, this, kernel or kernel_of(run.folder), best, facts)


def kernel_of(folder: Path) -> str:
    """The kernel's name from `config.yaml`, else from the folder's name without its time stamp."""
    config = folder / "config.yaml"
    if config.is_file():
        text = config.read_bytes().decode("utf-8", "replace")
        if match := re.search(r"(?m)^kernel:\s*\n(?:\s+.*\n)*?\s+name:\s*[\"']?([\w.-]+)", text):
            return match[1]
    return _STAMP.sub("", folder.resolve().name)


def best_before(run: Run, this: Round, verdicts: Verdicts) -> float:
    """The highest believable speedup before a round: earlier results, and lineages that have not seen the round."""
    found = [1.0]
    for each in run.rounds:
        for variant in each.variants if each.number < this.number else ():
            trust = verdicts.get(variant.path, NOT_CHECKED)
            if variant.speedup is not None and trust.level != UNTRUSTED:
                found.append(variant.speedup)
    if seen(run.lineages) < this.number:
        rows = [row for row in run.lineages.get("lineages") or () if isinstance(row, dict)]
        found += [speedup for row in rows if (speedup := number(row.get("best_speedup"))) is not None]
    return max(found)


def _fact(run: Run, variant: Variant, trust: Trust, best: float, texts: tuple[Mapping[str, str], Known]) -> Fact:
    signatures, known = texts
    entries = (*known.entries, *known.archived)
    own = signatures[variant.name]
    alike = tuple(name for name, other in signatures.items() if own and other == own and name != variant.name)
    draft = Draft(title=variant.intent.direction, symptom=decisive_line(variant.error), error=variant.error)
    failed = variant.speedup is None
    kind = FAILURE if failed else SUCCESS
    wanted = Draft(error=variant.error) if failed and variant.error else draft
    candidates = tuple(similar(wanted, [entry for entry in entries if entry.kind == kind], limit=3))
    gain = None if variant.speedup is None else variant.speedup / best
    return Fact(
        variant=variant,
        trust=trust,
        lineage=lineage_of(variant.name, run.lineages),
        gain=gain,
        message=decisive_line(variant.error),
        signature=own,
        alike=alike,
        candidates=candidates,
        suggestion=_suggest(variant, trust, gain, (candidates, known)),
    )


def _suggest(
    variant: Variant, trust: Trust, gain: float | None, likely: tuple[Sequence[Candidate], Known]
) -> Suggestion:
    candidates, known = likely
    if variant.status == MISSING:
        return Suggestion(SKIP, f"no result: {variant.fault or 'no status'}")
    if not trust.may_teach(measured=gain is not None, accept_unproven=True):
        return Suggestion(SKIP, f"UNTRUSTED: {', '.join(trust.codes)}")
    if gain is not None and gain < WORTH:
        return Suggestion(SKIP, f"{gain:.3f} times the best before; less than 5 % gain")
    if gain is None and _SLIP.search(decisive_line(variant.error)):
        return Suggestion(SKIP, "a slip in the code, if nothing else is behind it")
    for each in candidates:
        if each.score >= SURE and known.may_extend(each.entry):
            return Suggestion(EXTEND, f"resembles {each.entry.id} ({each.score:.0f} of 100)", each.entry.id)
    if gain is None:
        return Suggestion(FAILURE, f"{trust.status}, not in the file as far as words tell")
    return Suggestion(SUCCESS, f"{gain:.3f} times the best before")
