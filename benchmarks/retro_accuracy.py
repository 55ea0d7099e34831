"""Precision and recall of the extraction on labelled documents, and where it was wrong.

    python benchmarks/retro_accuracy.py [--wrong]

The documents are in retro_labels/, several in one file behind `=== name`; every number that states a quantity is
marked by hand with ⟦⟧, written before the extractor was run on them. Quantities are values of something: measurements,
parameters, counts, steps. Dates, versions, hashes, ids, numbers of tables and runs, shapes (128x128) and sizes in
names (A100, fp16, 8-bit) are not. A fact is right when a label of its line has its number; each label counts once.
"""

import argparse
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

from cairn.retro.ingest.read import read_source

LABELS = Path(__file__).parent / "retro_labels"
MARK = re.compile("⟦(.*?)⟧")
PRECISION, RECALL = 0.98, 0.95


def documents() -> dict[str, list[str]]:
    """Marked lines by document."""
    found: dict[str, list[str]] = {}
    for file in sorted(LABELS.glob("*.txt")):
        for part in re.split(r"(?m)^=== ", file.read_text(encoding="utf-8"))[1:]:
            name, _, text = part.partition("\n")
            found[name] = text.rstrip("\n").split("\n")
    return found


def number(raw: str) -> str:
    """The digits of a value as written, without sign of currency, hedge and unit."""
    match = re.search(r"[-+−]?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?", raw)
    return match[0].lstrip("+−-") if match else raw


def score(name: str, lines: list[str], folder: Path) -> tuple[int, int, int, list[str]]:
    """Labels, facts, right ones, and what was wrong, for one document."""
    path = folder / name
    path.write_text("\n".join(MARK.sub(r"\1", line) for line in lines) + "\n", encoding="utf-8")
    labels = Counter((at, number(raw)) for at, line in enumerate(lines, 1) for raw in MARK.findall(line))
    facts = [fact for fact in read_source(path, name, "report").facts if fact.value is not None]
    found = Counter((fact.line, number(fact.raw)) for fact in facts)
    wrong = [f"{name}:{at}: extra {raw}" for (at, raw), n in (found - labels).items() for _ in range(n)]
    wrong += [f"{name}:{at}: missed {raw}" for (at, raw), n in (labels - found).items() for _ in range(n)]
    return sum(labels.values()), len(facts), sum((labels & found).values()), wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wrong", action="store_true", help="list every miss and every extra")
    options = parser.parse_args()
    labels = facts = right = 0
    wrong: list[str] = []
    marked = documents()
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in marked.items():
            counts = score(name, lines, Path(folder))
            labels, facts, right = labels + counts[0], facts + counts[1], right + counts[2]
            wrong += counts[3]
    precision, recall = right / facts, right / labels
    print(f"{len(marked)} documents, {labels} labelled numbers, {facts} facts")
    print(f"precision {precision:.4f} (wanted {PRECISION}), recall {recall:.4f} (wanted {RECALL})")
    if options.wrong:
        print("\n".join(wrong))
    sys.exit(0 if precision >= PRECISION and recall >= RECALL and labels >= 300 and len(marked) >= 30 else 1)


if __name__ == "__main__":
    main()
