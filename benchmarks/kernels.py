"""What the kernels of this repository are predicted to cost on every chip, beside compiler, peers and floors.

    python benchmarks/kernels.py [--problem NAME ...] [--target CHIP ...] [--tune POINTS] [--markdown docs/results.md]

A row is one variant on one bench shape of one chip: `xla_*` is what the compiler makes of plain JAX, `jax_*` a kernel
that ships with jax, `pallas_*` ours. A variant with tunables has a second row at the best settings known for that chip
(`tuned.json` beside this file), and one more where a goal names a setting. All times are *predicted* from the schedule
that the real TPU compiler made; none was measured. Everything runs in this one process, and compiled programs are kept
in cairn's cache: a second run takes minutes, also with another cost model. `--tune` first tries settings, on the first
bench shape: those that won on other chips, and POINTS more from the problem's space, drawn at random. `--rows FILE`
keeps the raw rows, and goes on with those that are there from the same versions: the table may be made in several
runs, and one that is cut off loses nothing.
"""

import argparse
import itertools
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kernels_page
import msgspec
from kernels_page import Row

from cairn.journal import write_atomic
from cairn.judge import physics
from cairn.judge.protocol import Oracle
from cairn.lab import chip as lab_chip
from cairn.lab.bench import Answer, Bench
from cairn.lab.cache import default_cache
from cairn.lab.facts import facts_of
from cairn.lab.lowering import Request
from cairn.lab.subject import Subject
from cairn.lab.user_files import find
from cairn.problem import Problem, Shape, holds, load_problem
from cairn.roofline import chips

ROOT = Path(__file__).resolve().parent.parent
TUNED = Path(__file__).with_name("tuned.json")
TARGETS = ("tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e", "tpu7x")
SEED = 20_240_229
SLOW_S = 600.0  # one compile
Setting = dict[str, Any]
Tuned = dict[str, dict[str, dict[str, Setting]]]  # problem, variant, chip


class Subjects:
    """Variants of one problem as the lab wants them; the problem's oracle is asked once for each shape."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._oracle = Oracle(problem, Path(sys.executable))
        bench = problem.shapes.bench
        self._arrays = [[{"kind": "array", **spec} for spec in self._oracle.specs(shape)] for shape in bench]
        self._given = [self._oracle.given(shape) for shape in bench]
        self._costs = [self._oracle.cost(shape) for shape in bench]
        self._oracle.close()

    def subject(self, variant: str, index: int, setting: Setting) -> Subject:
        call = {"positional": self._arrays[index], "keyword": {}}
        given = self._given[index]
        function = find(f"{self.problem.variant(variant)}:run")
        request = Request(setting, call)
        return Subject(f"{self.problem.name}/{variant}", function, request, given=(given,) if given else ())

    def floor_us(self, index: int, target: str) -> float:
        dtype = next(iter(self.problem.outputs.values()))
        return physics.floors_of(chips()[target], self._costs[index], dtype).target.us


def main() -> int:
    arguments = _arguments()
    tuned = _tuned()
    names = arguments.problem or sorted(path.parent.name for path in ROOT.glob("kernels/*/problem.yaml"))
    everything = [Subjects(load_problem(ROOT / "kernels" / name)) for name in names]
    kept = _Kept(arguments.rows)
    for target in arguments.target or TARGETS:
        with Bench(Path(sys.executable), target, cache=default_cache(), timeout_s=SLOW_S) as bench:
            for subjects in everything:
                if arguments.tune is not None:
                    _tune(bench, subjects, tuned, arguments.tune)
                for row in _rows(bench, subjects, tuned, arguments.shapes):
                    kept.add(row)
                    print(row.line(), flush=True)
    if arguments.markdown:
        rows = kept.rows()
        problems = [load_problem(ROOT / "kernels" / name) for name in sorted({row.problem for row in rows})]
        arguments.markdown.write_text(kernels_page.page(rows, problems), encoding="utf-8")
    return 0


class _Kept:
    """Rows by what they are about, and their file; rows of other versions or of settings given up are dropped."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[str, Row] = {}
        if path is not None and path.exists():
            for row in msgspec.json.decode(path.read_bytes(), type=list[Row]):
                self._rows[self._key(row)] = row

    def add(self, row: Row) -> None:
        """Keep a row, and in the file too."""
        self._rows = {key: old for key, old in self._rows.items() if old.versions == row.versions}
        self._rows[self._key(row)] = row
        if self._path is not None:
            write_atomic(self._path, msgspec.json.format(msgspec.json.encode(self.rows())).decode())

    def rows(self) -> list[Row]:
        return sorted(self._rows.values(), key=lambda row: (row.problem, kernels_page.order(row.variant)))

    @staticmethod
    def _key(row: Row) -> str:
        """A variant has one row of its defaults, one of the best settings, and one of each setting in a goal."""
        goals = kernels_page.asked(row.problem, row.variant, row.target)
        named = next((each for each in goals if each.items() <= row.setting.items()), None)
        return json.dumps([row.problem, row.target, row.shape, row.variant, named or bool(row.setting)])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", action="append", help="only this one; may be repeated")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this chip; may be repeated")
    parser.add_argument("--shapes", type=int, default=99, help="only the first so many bench shapes")
    parser.add_argument("--tune", type=int, metavar="POINTS", help="try so many settings more first")
    parser.add_argument("--rows", type=Path, help="write the raw rows here, as JSON")
    parser.add_argument("--markdown", type=Path, help="write the page of results here")
    return parser.parse_args()


def _rows(bench: Bench, subjects: Subjects, tuned: Tuned, most_shapes: int) -> Iterator[Row]:
    problem = subjects.problem
    for index, shape in enumerate(problem.shapes.bench[:most_shapes]):
        for variant in sorted(problem.variants(), key=kernels_page.order):
            settings: list[Setting] = [{}]
            best = tuned.get(problem.name, {}).get(variant, {}).get(bench.target)
            settings += [best] if best else []
            settings += [
                {**(best or {}), **each} for each in kernels_page.asked(problem.name, variant, bench.target)
            ]
            for setting in settings:
                answer = bench.predict(subjects.subject(variant, index, setting))
                yield _row(answer, variant, setting, shape, subjects.floor_us(index, bench.target), problem.name)


def _row(answer: Answer, variant: str, setting: Setting, shape: Shape, floor_us: float, name: str) -> Row:
    compiled, prediction = answer.compiled, answer.prediction
    figures = lab_chip.load(answer.target)
    facts = [] if compiled is None else [facts_of(compiled.dump, call, figures) for call in compiled.custom_calls]
    sizes = [each.vmem_bytes for each in facts if each.vmem_bytes is not None]
    return Row(
        problem=name,
        target=answer.target,
        shape=dict(shape),
        variant=variant,
        setting=dict(setting),
        floor_us=floor_us,
        us=None if prediction is None else prediction.us,
        low_us=None if prediction is None else prediction.low_us,
        high_us=None if prediction is None else prediction.high_us,
        refused=answer.refused,
        bundles=sum(each.bundles for each in facts) if facts else None,
        spills=sum(each.spills for each in facts) if facts else None,
        vmem_bytes=max(sizes) if sizes else None,
        breakdown={} if prediction is None else dict(prediction.breakdown),
        versions=dict(answer.as_data()["versions"]),
    )


def _tune(bench: Bench, subjects: Subjects, tuned: Tuned, points: int) -> None:
    """Try settings of every variant that has tunables; what is best, the known best among them, is kept."""
    problem = subjects.problem
    for variant in problem.tunables:
        won = tuned.setdefault(problem.name, {}).setdefault(variant, {})
        tried = {}
        for setting in _candidates(problem, variant, list(won.values()), points):
            answer = bench.predict(subjects.subject(variant, 0, setting))
            if answer.prediction is not None and answer.prediction.us is not None:
                tried[json.dumps(setting)] = answer.prediction.us
        if tried:
            won[bench.target] = json.loads(min(tried, key=lambda key: tried[key]))
            _keep(problem.name, variant, bench.target, won[bench.target])


def _keep(name: str, variant: str, target: str, setting: Setting) -> None:
    """Write one winner into the file, which another run may have written to meanwhile."""
    tuned = _tuned()
    tuned.setdefault(name, {}).setdefault(variant, {})[target] = setting
    write_atomic(TUNED, json.dumps(tuned, indent=2, sort_keys=True) + "\n")


def _tuned() -> Tuned:
    return json.loads(TUNED.read_text(encoding="utf-8")) if TUNED.exists() else {}


def _candidates(problem: Problem, variant: str, known: list[Setting], points: int) -> list[Setting]:
    tunables, shape = problem.tunables[variant], problem.shapes.bench[0]
    grid = [
        dict(zip(tunables.space, values, strict=True)) for values in itertools.product(*tunables.space.values())
    ]
    allowed = [point for point in grid if holds(tunables.constraints, {**shape, **point})]
    drawn = random.Random(SEED).sample(allowed, min(points, len(allowed)))
    # no setting at all first: where the defaults win there is nothing to keep
    return list({json.dumps(each, sort_keys=True): each for each in [{}, *known, *drawn]}.values())


if __name__ == "__main__":
    sys.exit(main())
