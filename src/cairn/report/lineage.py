"""The line of descent: what was kept on what, and how many tries on each came to nothing.

Drawn as nested lists, so that it reads aloud, prints and fits a narrow screen. The line that leads to the champion
stays straight; another line that was built on the same parent is a branch.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from cairn.report import words
from cairn.report.inert import one_line
from cairn.report.page import environment
from cairn.report.rows import Attempt, Run
from cairn.report.summary import cause, is_kept

_SHOWN = 400
_ADVANCED = "advanced"  # the best of a lineage that is not the champion's


@dataclass
class Node:
    """One attempt that was kept or carries a lineage on, or the start."""

    name: str
    text: str
    tone: str
    href: str = ""
    rest: str = ""
    branches: list[list["Node"]] = field(default_factory=list)


def lineage_tree(run: Run, number: int = 0) -> Markup:
    """The tree of a run; `number`: which run of the page it is."""
    chain = _Tree(run, number).chain()
    return Markup(environment().get_template("lineage.html.j2").render(chain=chain))


class _Tree:
    def __init__(self, run: Run, number: int) -> None:
        self._run, self._number = run, number
        self._champion = anchor.name if (anchor := run.anchor("champion")) else ""
        self._kept: dict[str, list[Attempt]] = {}
        self._others: dict[str, list[Attempt]] = {}
        ids = {each.id for each in run.attempts}
        for each in run.attempts:
            parent = each.parent if each.parent in ids else ""
            (self._kept if is_kept(each) or each.decision == _ADVANCED else self._others).setdefault(
                parent, []
            ).append(each)
        self._main = self._line_to(self._champion)

    def _line_to(self, name: str) -> set[str]:
        parents = {each.id: each.parent for each in self._run.attempts}
        line: set[str] = set()
        while name in parents and name not in line:
            line.add(name)
            name = parents[name]
        return line

    def chain(self) -> list[Node]:
        """The start and everything that descends from it."""
        start = self._run.anchor("start")
        cost = f"{words.microseconds(start.us)} µs {start.kind}" if start and start.us else ""
        first = Node(
            "start", ", ".join(filter(None, (start.name if start else "", cost))), "accent", rest=self._rest("")
        )
        return self._follow(first, "")

    def _follow(self, first: Node, name: str) -> list[Node]:
        """A straight line from one node on; where more than one was kept on it, the others branch off."""
        line, node, seen = [first], first, 0
        while (children := self._kept.get(name)) and seen < _SHOWN:
            seen += 1
            heir = next((each for each in children if each.id in self._main), children[0])
            node.branches = [self._follow(self._node(each), each.id) for each in children if each is not heir]
            node, name = self._node(heir), heir.id
            line.append(node)
        return line

    def _node(self, attempt: Attempt) -> Node:
        cost = f"{words.microseconds(attempt.us)} µs" if attempt.us is not None else ""
        share = f"{words.ratio(attempt.ratio)} of its parent" if attempt.ratio is not None else ""
        gain = f"{words.times(attempt.speedup)} reported" if attempt.speedup is not None else ""
        place = [f"round {attempt.round}" if attempt.round is not None else "", attempt.lineage]
        crown = "champion: " if attempt.id == self._champion else ""
        parts = [*place, cost, share, gain, one_line(attempt.hypothesis, 110)]
        text = crown + ", ".join(filter(None, parts))
        return Node(
            attempt.id,
            text,
            "keep" if is_kept(attempt) else "accent",
            f"#attempt-{self._number}-{attempt.id}",
            self._rest(attempt.id),
        )

    def _rest(self, name: str) -> str:
        return _counted(self._others.get(name, []))


def _counted(attempts: Sequence[Attempt]) -> str:
    """What else was tried on a commit: "2 tries on it not kept: 1 slower, 1 vmem_oom; 1 under way"."""
    over = [each for each in attempts if each.decision or each.failure]
    counts = Counter(map(cause, over))
    told = ", ".join(f"{number} {reason}" for reason, number in counts.most_common())
    tries = words.plural(len(over), "try").replace("trys", "tries")
    going = f"{len(attempts) - len(over)} under way" if len(over) < len(attempts) else ""
    return "; ".join(filter(None, [f"{tries} on it not kept: {told}" if over else "", going]))
