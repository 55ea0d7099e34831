"""Which measurements a constant may be fitted on, and which it is scored on: by family and chip, fixed as data.

    python -m calibration.split --truth FILE      # run from benchmarks/; rewrites split.json

Half of every group by a hash of the id: no look at the values, and the same for everybody. A full sweep of one
problem (`sweep`) is held out as a whole where another sweep of its chip can be fitted on.
"""

import argparse
import hashlib
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("split.json")


def part(identity: str) -> str:
    """`fit` or `heldout`."""
    group, _, number = identity.rpartition("/")
    return "fit" if int(number) in _fitted().get(group, ()) else "heldout"


_cache: dict[str, set[int]] = {}


def _fitted() -> dict[str, set[int]]:
    if not _cache:
        groups = json.loads(FILE.read_text(encoding="utf-8"))
        _cache.update({group: set(parts["fit"]) for group, parts in groups.items()})
    return _cache


def divide(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Numbers of the rows by `family/chip` and part."""
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: {"fit": [], "heldout": []})
    for row in rows:
        group, _, number = row["id"].rpartition("/")
        digest = hashlib.sha256(row["id"].encode()).digest()
        name = "heldout" if row["family"] == "jaxdoc_matmul" or digest[0] % 2 else "fit"
        groups[group][name].append(int(number))
    return {group: {name: sorted(numbers) for name, numbers in parts.items()} for group, parts in groups.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, required=True, help="measurements, one JSON object a line")
    rows = [json.loads(line) for line in parser.parse_args().truth.read_text(encoding="utf-8").splitlines()]
    lines = (f"  {json.dumps(group)}: {json.dumps(parts)}" for group, parts in sorted(divide(rows).items()))
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
