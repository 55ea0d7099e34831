"""Three-way merge of sequences, with a say in what happens where both sides changed the same place."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Region(Generic[T]):
    """A run of items: what the base has there, and what each side made of it."""

    base: tuple[T, ...]
    ours: tuple[T, ...]
    theirs: tuple[T, ...]

    @property
    def merged(self) -> tuple[T, ...] | None:
        """The result where at most one side changed something, or both the same; None for a conflict."""
        if self.ours == self.theirs or self.theirs == self.base:
            return self.ours
        return self.theirs if self.ours == self.base else None

    @property
    def union(self) -> tuple[T, ...] | None:
        """Both additions, ours first, where neither side took anything away; None when one did."""
        return None if self.base else self.ours + self.theirs


def regions(base: Sequence[T], ours: Sequence[T], theirs: Sequence[T]) -> Iterator[Region[T]]:
    """Cut three sequences at the items that all of them share; each such item is a region of its own."""
    in_ours, in_theirs = _matches(base, ours), _matches(base, theirs)
    at = our_at = their_at = 0
    for item in (*(each for each in range(len(base)) if each in in_ours and each in in_theirs), len(base)):
        our_end, their_end = in_ours.get(item, len(ours)), in_theirs.get(item, len(theirs))
        yield Region(tuple(base[at:item]), tuple(ours[our_at:our_end]), tuple(theirs[their_at:their_end]))
        if item < len(base):
            yield Region((base[item],), (ours[in_ours[item]],), (theirs[in_theirs[item]],))
        at, our_at, their_at = item + 1, our_end + 1, their_end + 1


def _matches(base: Sequence[T], other: Sequence[T]) -> dict[int, int]:
    """Places in the base whose item the other side kept, and where it stands there."""
    blocks = difflib.SequenceMatcher(None, base, other, autojunk=False).get_matching_blocks()
    return {block.a + step: block.b + step for block in blocks for step in range(block.size)}
