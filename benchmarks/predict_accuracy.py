"""How far predictions are from published measurements, beside what cheaper methods would say.

    python benchmarks/predict_accuracy.py                                    # tables from the committed rows
    python benchmarks/predict_accuracy.py --truth FILE --cache DIR [--collect] [--only FAMILY/CHIP ...] [--again]
    python benchmarks/predict_accuracy.py --write docs/lab.md --intervals    # renew the page's tables, the intervals

FILE has one JSON object a line: `id`, `family`, `gen`, `value` in milliseconds (or core cycles a tile), `shape`,
`config` and `host_overhead_ms_est`, which is taken off where published times are wall-clock. `DIR` holds what
the compiler said (`calibration/collect.py`); with `--collect` what is missing is compiled first, which needs jax,
libtpu and, for most families, `tokamax`. Rows are predicted once for a model and a chip's figures and kept in
`calibration/scored.jsonl`, so a run that was interrupted goes on. A row whose time is less than one and a half times
the overhead is noise and not scored. Nothing here fits a constant; `--intervals` sets intervals from held-out errors.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from calibration import baselines, intervals, scored, tables
from calibration.split import part

from cairn.lab import chip
from cairn.lab.predict import predict

_BEGIN = "<!-- accuracy: written by benchmarks/predict_accuracy.py --write -->"
_END = "<!-- accuracy: end -->"
_NOISE = 1.5
TABLES = Path(chip.__file__).parent / "tables"


def main() -> int:
    arguments = _arguments()
    if arguments.collect:
        _collect(arguments)
    if arguments.truth and arguments.cache:
        _score(arguments)
    rows = list(scored.read().values())
    if not rows:
        print("nothing is scored yet: give --truth and --cache", file=sys.stderr)
        return 1
    if arguments.intervals:
        for target in chip.TARGETS:
            _set_intervals(TABLES / f"{target}.yaml", intervals.fractions(rows, target))
        chip.load.cache_clear()
    page = tables.page(rows)
    print(page)
    if arguments.write:
        _write(arguments.write, page)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--truth", type=Path, help="measurements, one JSON object a line")
    parser.add_argument("--cache", type=Path, help="folder of compile results")
    parser.add_argument("--collect", action="store_true", help="compile what is not in the folder")
    parser.add_argument("--only", nargs="*", default=[], help="family/chip, as in tokamax_gmm/v5p")
    parser.add_argument("--again", action="store_true", help="predict also what this model has predicted before")
    parser.add_argument("--intervals", action="store_true", help="set the chips' intervals from held-out errors")
    parser.add_argument("--write", type=Path, help="page whose tables to renew, between its two marks")
    return parser.parse_args()


def _collect(arguments: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "calibration.collect", "--truth", arguments.truth, "--cache", arguments.cache]
    if arguments.only:
        command += ["--only", *arguments.only]
    subprocess.run(command, cwd=Path(__file__).parent, check=True, env={**os.environ, "JAX_PLATFORMS": "cpu"})


def _score(arguments: argparse.Namespace) -> None:
    """Predict what is in the cache and was not predicted by this model."""
    from calibration.collect import TARGETS, load  # needs jax

    rows = scored.read()
    for path in sorted(arguments.cache.glob("*.pickle.gz")):
        identity = path.name.removesuffix(".pickle.gz").replace("~", "/")
        family, generation, _ = identity.split("/")
        if arguments.only and f"{family}/{generation}" not in arguments.only:
            continue
        target = TARGETS[generation]
        before = rows.get(identity)
        if before is not None and before.model == scored.model_of(target) and not arguments.again:
            continue
        kept = load(path)
        if kept["error"] or kept["result"].failure is not None:
            print(f"{identity:28} {kept['error'][:80] or kept['result'].failure.kind}", flush=True)
            continue
        rows[identity] = _row(kept["row"], kept["result"], target)
        scored.write(rows)


def _row(row: dict[str, Any], result: Any, target: str) -> scored.Scored:
    started = time.monotonic()
    prediction = predict(result, target)
    bound = next((flag for flag in prediction.flags if flag.startswith("bound by: ")), "")
    found = scored.Scored(
        id=row["id"],
        family=row["family"],
        target=target,
        part=part(row["id"]),
        problem=row["config"].get("pattern") or row.get("sweep") or json.dumps(row["shape"], sort_keys=True),
        measured_us=round(measured_us(row), 3),
        us=prediction.us and round(prediction.us, 3),
        refused=prediction.refused,
        bound=bound.removeprefix("bound by: "),
        by_bytes=round(prediction.by_bytes, 4),
        roofline_us=round(baselines.roofline_us(row, target, result), 3),
        bundles_us=round(baselines.bundles_us(prediction, target), 3),
        noise=row["value"] <= _NOISE * row.get("host_overhead_ms_est", 0.0),
        model=scored.model_of(target),
    )
    text = found.refused or f"{found.us:9.1f} us, ratio {(found.us or 0.0) / found.measured_us:.3f}"
    spent_s = time.monotonic() - started
    print(
        f"{found.id:28} {found.part:8} measured {found.measured_us:9.1f} us, {text}  [{spent_s:.1f} s]", flush=True
    )
    return found


def measured_us(row: dict[str, Any]) -> float:
    """The published time of one call, the estimated launch taken off."""
    if row["unit"].startswith("cycles"):
        tiles = row["shape"]["rows"] // row["config"]["tile_rows"]
        return float(row["value"]) * tiles / 1050.0
    return 1000.0 * (float(row["value"]) - float(row.get("host_overhead_ms_est", 0.0)))


def _set_intervals(path: Path, found: dict[str, tuple[float, str]]) -> None:
    """Replace the two lines of a chip's table that hold its intervals and their source."""
    lines = path.read_text(encoding="utf-8").splitlines()
    at = lines.index("interval_fraction:")
    values = ", ".join(f"{kind}: {fraction:.2f}" for kind, (fraction, _) in found.items())
    whose = "; ".join(f"{kind}: {source}" for kind, (_, source) in found.items())
    lines[at + 1 : at + 3] = [f"  value: {{{values}}}", f'  source: "errors, {whose}"']
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write(page: Path, text: str) -> None:
    whole = page.read_text(encoding="utf-8")
    head, _, rest = whole.partition(_BEGIN)
    tail = rest.partition(_END)[2]
    page.write_text(f"{head}{_BEGIN}\n\n{text}\n{_END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
