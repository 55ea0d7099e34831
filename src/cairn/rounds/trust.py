"""How far a result may be believed, in the words that a round uses; the judge's gate decides, the caller asks it."""

from collections.abc import Mapping
from dataclasses import dataclass

TRUSTED, UNPROVEN, UNTRUSTED = "trusted", "unproven", "untrusted"


@dataclass(frozen=True)
class Trust:
    """One result's standing. `unproven`: nothing contradicts it, but it cannot be told what was measured where.

    `status`: the class that the result really belongs to; `codes`: why it is not trusted.
    """

    level: str
    status: str
    codes: tuple[str, ...] = ()

    def may_teach(self, *, measured: bool, accept_unproven: bool) -> bool:
        """Whether an entry may cite it. A failure claims no figure, so a missing fingerprint does not taint it."""
        return self.level == TRUSTED or (self.level == UNPROVEN and (accept_unproven or not measured))


NOT_CHECKED = Trust(UNTRUSTED, "UNKNOWN", ("not_checked",))
Verdicts = Mapping[str, Trust]  # by the result's path, relative to the run directory
