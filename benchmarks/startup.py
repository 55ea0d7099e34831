"""How long `cairn --help` takes, as a ratio to an interpreter that does nothing.

    python benchmarks/startup.py [--runs N]

Commands run in turn, A B C A B C, so that a drift of the machine's speed hits all alike; the median ratio is what
to quote. An assistant calls these commands in a loop, so start-up is part of every answer.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

CAIRN = str(Path(sys.executable).with_name("cairn"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "cairn --help": [CAIRN, "--help"],
    "cairn judge run --help": [CAIRN, "judge", "run", "--help"],
    "cairn climb run --help": [CAIRN, "climb", "run", "--help"],
    "cairn learnings list": [CAIRN, "learnings", "list"],
    "door judge.py --help": [sys.executable, str(Path(__file__).parents[1] / "scripts" / "judge.py"), "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for index in range(runs + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            if index:  # the first round warms the file cache
                seconds[name].append(time.perf_counter() - started)
    bare = seconds["python -c pass"]
    print(f"{'command':<26} {'median ms':>10} {'min ms':>8} {'ratio to python':>16}")
    for name, taken in seconds.items():
        ratio = statistics.median(mine / theirs for mine, theirs in zip(taken, bare, strict=True))
        print(f"{name:<26} {1e3 * statistics.median(taken):>10.0f} {1e3 * min(taken):>8.0f} {ratio:>16.1f}")


if __name__ == "__main__":
    main()
