"""How long the learnings tool works on a large AGENT.md: lint of 100 KB, and files of 10,000 entries.

    python benchmarks/learnings.py [--runs N]

Times are processor time of the work alone, in one process after one warm-up; start-up is in startup.py. The texts are
made up, in the sizes and with the habits of real files: references, repeated fields, advice for and against.
"""

import argparse
import statistics
import time
from collections.abc import Callable

from cairn.learnings.archive import ArchiveText, archive
from cairn.learnings.edit import NewEntry, add
from cairn.learnings.lint import lint
from cairn.learnings.merge import merge
from cairn.learnings.parse import parse
from cairn.learnings.search import Query, search
from cairn.learnings.similar import Draft, similar

NEW = NewEntry("failure", "New", (("Symptom", "s"), ("Root cause", "r"), ("Fix", "f")), "gdn", "2026-05-06")
WORDS = ("register", "pressure", "spills", "block", "shape", "lane", "tile", "chunk", "state", "scratch", "matmul")
LABELS = {"F": ("Symptom", "Root cause", "Fix"), "S": ("Optimization", "Impact", "Why it works")}
SECTIONS = {"F": "Failure Patterns", "S": "Successful Optimizations"}


def text_of(entries: int, value_words: int) -> str:
    """A file with failures and successes in equal number."""
    parts = ["# Knowledge\n"]
    for prefix, (first, second, third) in LABELS.items():
        parts.append(f"\n## {SECTIONS[prefix]}\n")
        for number in range(1, entries // 2 + 1):
            words = [WORDS[(number * 7 + step * 3) % len(WORDS)] for step in range(value_words)]
            value = " ".join(words)
            advice = ("use" if number % 3 else "avoid") + f" `option_{number % 97}`"
            parts.append(
                f"\n### [{prefix}{number:03d}] {' '.join(words[:5])} {number}\n"
                f"- **{first}**: {value}\n- **{second}**: unlike {prefix}{max(1, number - 1):03d}, {value}\n"
                f"- **{third}**: {advice}; {value}\n- **First seen**: 2026-05-06, gdn optimization\n"
            )
    return "".join(parts)


def milliseconds(act: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median and best of some runs after one that warms up."""
    act()
    taken = []
    for _ in range(runs):
        started = time.process_time()
        act()
        taken.append(1e3 * (time.process_time() - started))
    return statistics.median(taken), min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    hundred_kb, ten_thousand = text_of(190, 22), text_of(10_000, 4)
    small, large = parse(hundred_kb), parse(ten_thousand)
    draft = Draft(title="block shape of the state", error="ValueError: block shape (8, 64) must be divisible")
    rows: list[tuple[str, str, Callable[[], object]]] = [
        ("parse and lint, 100 KB", "50", lambda: lint(parse(hundred_kb))),
        ("parse, 10,000 entries", "", lambda: parse(ten_thousand)),
        ("lint of a parsed file, 10,000 entries", "", lambda: lint(large)),
        ("parse and lint, 10,000 entries", "1000", lambda: lint(parse(ten_thousand))),
        ("add one entry, 10,000 entries", "", lambda: add(ten_thousand, [NEW])),
        ("search, 10,000 entries", "1000", lambda: search(Query(kernel="gdn", error=draft.error), large.entries)),
        ("similar, 10,000 entries", "1000", lambda: similar(draft, large.entries)),
        ("archive to 32 KB, 100 KB", "", lambda: archive(hundred_kb, ArchiveText("a.md", ""))),
        ("merge, 100 KB, both sides added", "", lambda: merge(hundred_kb, *2 * [add(hundred_kb, [NEW]).after])),
    ]
    print(
        f"{len(hundred_kb.encode())} bytes, {len(small.entries)} entries; {len(ten_thousand.encode())} bytes, 10,000"
    )
    print(f"{'work':<40} {'median ms':>10} {'min ms':>8} {'limit':>6}")
    for name, limit, act in rows:
        median, best = milliseconds(act, runs)
        print(f"{name:<40} {median:>10.1f} {best:>8.1f} {limit:>6}")


if __name__ == "__main__":
    main()
