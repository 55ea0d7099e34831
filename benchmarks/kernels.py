"""What the kernels of this repository are predicted to cost on every chip, beside their baselines and their floors.

    python benchmarks/kernels.py [--problem NAME ...] [--target CHIP ...] [--markdown docs/results.md]

Every row is the first bench shape of a problem on one chip: the target floor (operations and bytes of a stated good
form at the chip's nominal rates), the baseline, and the variant that climbs start from, at its defaults and at the
setting that `tuned.json` beside this file names for that chip. All numbers are *predicted* from the schedule that the
real TPU compiler made; none was measured. Answers come from the compile cache, so a second run is quick.
`--tune` ranks the whole grid of tunables for every row first (`cairn lab sweep`; minutes to hours) and writes what won
to `tuned.json`.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cairn.roofline import chips, target_floor

ROOT = Path(__file__).resolve().parent.parent
TUNED = Path(__file__).with_name("tuned.json")
TARGETS = ("tpu-v4", "tpu-v5e", "tpu-v5p", "tpu-v6e", "tpu7x")


@dataclass(frozen=True)
class Row:
    """One problem on one chip; times in microseconds, None where the model refuses."""

    problem: str
    target: str
    floor_us: float | None
    baseline: dict[str, Any]
    default: dict[str, Any]
    tuned: dict[str, Any] | None
    setting: dict[str, Any]

    @property
    def best(self) -> dict[str, Any]:
        return self.tuned if self.tuned is not None and self.tuned["us"] is not None else self.default


def main() -> int:
    arguments = _arguments()
    tuned = json.loads(TUNED.read_text()) if TUNED.exists() else {}
    rows = []
    for name in arguments.problem or sorted(path.parent.name for path in ROOT.glob("kernels/*/problem.yaml")):
        problem = yaml.safe_load((ROOT / "kernels" / name / "problem.yaml").read_text())
        for target in arguments.target or TARGETS:
            if arguments.tune and problem.get("tunables", {}).get(problem["start"]):
                _tune(tuned, problem, target)
            rows.append(_row(problem, target, tuned.get(name, {}).get(target, {})))
            print(_line(rows[-1]), flush=True)
    if arguments.markdown:
        arguments.markdown.write_text(_page(rows), encoding="utf-8")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", action="append", help="only this one; may be repeated")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this chip; may be repeated")
    parser.add_argument("--tune", action="store_true", help="sweep the tunables first")
    parser.add_argument("--markdown", type=Path, help="write the page of results here")
    return parser.parse_args()


def _row(problem: dict[str, Any], target: str, setting: dict[str, Any]) -> Row:
    name = problem["name"]
    baseline = _ask("predict", name, target, problem["baseline"], {})
    default = _ask("predict", name, target, problem["start"], {})
    best = _ask("predict", name, target, problem["start"], setting) if setting else None
    return Row(name, target, _floor(problem, target), baseline, default, best, setting)


def _ask(command: str, name: str, target: str, variant: str, setting: dict[str, Any]) -> dict[str, Any]:
    sets = [word for key, value in setting.items() for word in ("--set", f"{key}={value}")]
    options = ["--variant", variant, "--target", target, *sets, "--json"]
    cairn = Path(sys.executable).with_name("cairn")
    words = [str(cairn), "lab", command, str(ROOT / "kernels" / name), *options]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(words)}\n{done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _tune(tuned: dict[str, Any], problem: dict[str, Any], target: str) -> None:
    rows = _ask("sweep", problem["name"], target, problem["start"], {})["rows"]  # the best first
    if rows and rows[0]["us"] is not None:
        tuned.setdefault(problem["name"], {})[target] = rows[0]["settings"]
        TUNED.write_text(json.dumps(tuned, indent=2, sort_keys=True) + "\n")


def _floor(problem: dict[str, Any], target: str) -> float | None:
    """The target floor of the first bench shape, from the problem's own reference file."""
    path = ROOT / "kernels" / problem["name"] / problem["reference"]
    spec = importlib.util.spec_from_file_location("reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cost = getattr(module, "target_cost", module.cost)
    flops, bytes_ = cost(problem["shapes"]["bench"][0])
    return target_floor(chips()[target], flops, bytes_, "bfloat16").us


def _line(row: Row) -> str:
    return " | ".join(
        f"{text:>16}"
        for text in (
            row.problem,
            row.target,
            f"floor {_us(row.floor_us)}",
            f"baseline {_us(row.baseline['us'])}",
            f"ours {_us(row.default['us'])}",
            f"tuned {_us(row.best['us'])}",
            f"{_times(row.baseline['us'], row.best['us'])} baseline",
            f"{_times(row.best['us'], row.floor_us)} floor",
        )
    )


def _us(value: float | None) -> str:
    return "refused" if value is None else f"{value:,.0f}"


def _times(above: float | None, below: float | None) -> str:
    return "-" if above is None or not below else f"{above / below:.2f}x"


def _page(rows: list[Row]) -> str:
    versions = rows[0].default["versions"]
    lines = [
        "# Predicted cost of the kernels",
        "",
        "Generated by `python benchmarks/kernels.py --markdown docs/results.md`; nothing here was typed, and nothing",
        "was measured: every time is *predicted* from the schedule of the real TPU compiler, with the interval that",
        "the model states for itself ([how far to trust it](lab.md)).",
        "",
        f"jax {versions['jax']}, libtpu {versions['libtpu']}, model {versions['model']}. One row is a problem's first",
        "bench shape. `floor`: the target floor, a goal; shapes under `heldout` in a problem are never used here.",
        "",
    ]
    for name in dict.fromkeys(row.problem for row in rows):
        problem = yaml.safe_load((ROOT / "kernels" / name / "problem.yaml").read_text())
        shape = ", ".join(f"{key}={size}" for key, size in problem["shapes"]["bench"][0].items())
        lines += [
            f"## {name}",
            "",
            f"{problem['title']}. {shape}. `{problem['start']}` against `{problem['baseline']}`.",
            "",
        ]
        lines += [
            "| chip | floor us | baseline us | ours, default | ours, best | interval | of baseline | of floor "
            "| spills | setting |"
        ]
        lines += ["|---|---|---|---|---|---|---|---|---|---|"]
        lines += [_cells(row) for row in rows if row.problem == name]
        lines.append("")
    return "\n".join(lines)


def _cells(row: Row) -> str:
    best = row.best
    interval = "-" if best["us"] is None else f"{_us(best['low_us'])} - {_us(best['high_us'])}"
    setting = " ".join(f"{key}={value}" for key, value in row.setting.items()) or "default"
    cells = [row.target, _us(row.floor_us), _us(row.baseline["us"]), _us(row.default["us"]), _us(best["us"])]
    cells += [interval, _times(row.baseline["us"], best["us"]), _times(best["us"], row.floor_us)]
    return "| " + " | ".join([*cells, f"{best['spills']:,}", setting]) + " |"


if __name__ == "__main__":
    sys.exit(main())
