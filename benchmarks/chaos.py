"""Kill climbs at random moments until enough blows have fallen, and count what they broke.

    python benchmarks/chaos.py [--kills 100] [--judge fake|real] [--seed N] [--results FILE]

Each climb of four attempts is hit a few times with SIGKILL (its supervisor, its agent, its judge's processes), started
again where it was, and left alone in the end. Then: no line of the ledger is gone, nothing was judged twice, the two
winners are kept and the champion is byte for byte that of an undisturbed climb, the user's tree is as it was, no
folder and no process is left. `--results` keeps each climb as a line of JSON; the same command again goes on there.
With `--judge fake` a table of costs judges and there is no judge's process to kill; `--judge real` runs the very
command line of a user, with the compiler.
"""

import argparse
import collections
import json
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "climb")]

from chaos import VICTIMS, Toll, play  # noqa: E402

KILLS_A_CLIMB = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--judge", choices=["fake", "real"], default="fake")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--results", type=Path, default=None)
    options = parser.parse_args()
    known = options.results is not None and options.results.exists()
    rows = [json.loads(line) for line in options.results.read_text().splitlines()] if known else []
    victims = VICTIMS if options.judge == "real" else VICTIMS[:2]
    with tempfile.TemporaryDirectory(prefix="cairn-chaos-") as name:
        (Path(name) / "calm").mkdir()
        calm = play(Path(name) / "calm", options.judge, 0, random.Random(0), victims)
        while sum(sum(row["kills"].values()) for row in rows) < options.kills:
            rows.append(one(Path(name), options, len(rows), calm, victims))
            sys.stdout.write(f"{json.dumps(rows[-1])}\n")
            sys.stdout.flush()
            if options.results is not None:
                with options.results.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    kills = collections.Counter[str]()
    for row in rows:
        kills.update(row["kills"])
    wrong = calm.wrong + [fault for row in rows for fault in row["wrong"]]
    sys.stdout.write(
        f"{kills.total()} kills ({', '.join(f'{name} {count}' for name, count in kills.items())}) in {len(rows)} "
        f"climbs and {sum(row['launches'] for row in rows)} launches, judge {options.judge}: {len(wrong)} faults\n"
    )
    sys.stdout.write("".join(f"FAULT {fault}\n" for fault in wrong))
    sys.exit(1 if wrong else 0)


def one(
    place: Path, options: argparse.Namespace, number: int, calm: Toll, victims: tuple[str, ...]
) -> dict[str, object]:
    """One climb under blows, compared with a calm one, as a row of the results."""
    folder = place / f"climb-{number}-{time.time_ns()}"
    folder.mkdir()
    toll = play(folder, options.judge, KILLS_A_CLIMB, random.Random(options.seed + number), victims)
    wrong = [*toll.wrong]
    if toll.champion != calm.champion:
        wrong.append("another champion than without kills")
    if toll.kept != calm.kept:
        wrong.append(f"{toll.kept} attempts were kept, without kills {calm.kept}")
    return {"seed": options.seed + number, "kills": toll.kills, "launches": toll.launches, "wrong": wrong}


if __name__ == "__main__":
    main()
