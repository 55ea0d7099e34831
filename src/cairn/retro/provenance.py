"""Where the numbers of a skill come from: environment, commit, cost and evidence, as the sources and git tell."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cairn.errors import CairnError
from cairn.git import Git
from cairn.registry import Registry
from cairn.retro.check import Checked
from cairn.retro.facts import Document
from cairn.retro.progress import Series
from cairn.retro.sections import plain_text

_ENVIRONMENT = re.compile(
    r"(?:hardware|device|gpus?|software|environment|accelerator|chip|runtime|driver|cuda|jax|libtpu|torch|image)\b",
    re.I,
)
_MOST = 12


@dataclass(frozen=True)
class Provenance:
    """`evidence`: places of the facts that the text cites; `sources`: the files they stand in."""

    environment: tuple[str, ...]
    commit: str | None
    cost: str | None
    evidence: tuple[str, ...]
    sources: tuple[str, ...]

    def lines(self) -> list[str]:
        """Bullets for a skill's references; what nobody recorded is said to be so."""
        cited = ", ".join(self.evidence[:_MOST]) + (
            f" and {len(self.evidence) - _MOST} more" if len(self.evidence) > _MOST else ""
        )
        return [
            f"- Environment: {'; '.join(self.environment) or 'not recorded in the sources'}",
            f"- Commit: {self.commit or 'the project is in no git repository'}",
            f"- Cost: {self.cost or 'not recorded in the sources'}",
            f"- Evidence: {cited or 'none'}",
        ]


def provenance_of(
    registry: Registry, documents: Sequence[Document], series: Iterable[Series], checked: Iterable[Checked]
) -> Provenance:
    """What the sources say of themselves, and where the claims of the texts were found."""
    places = list(
        dict.fromkeys(claim.where for each in checked for claim in each.claims if claim.status != "computed")
    )
    sources = list(dict.fromkeys(re.sub(r"(?::\d+| \(.*\))$", "", place) for place in places))
    used = [document for document in documents if document.path in sources] or list(documents)
    seconds = [each.cost_s for each in series if each.cost_s is not None and each.path in sources]
    cost = f"{sum(seconds):.0f} s over the recorded tries" if seconds else None
    return Provenance(_environment(used), _commit(registry), cost, tuple(places), tuple(sources))


def _environment(documents: Iterable[Document]) -> tuple[str, ...]:
    found = [
        plain_text(note.text)[:160]
        for document in documents
        for note in document.notes
        if note.part == "setup" and _ENVIRONMENT.match(plain_text(note.text))
    ]
    return tuple(dict.fromkeys(found))[:4]


def _commit(registry: Registry) -> str | None:
    try:
        return Git(registry.root).run("rev-parse", "--short=12", "HEAD").strip() or None
    except (CairnError, OSError):
        return None
