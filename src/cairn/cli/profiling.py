"""What the commands of `cairn profile` do between their options and what they print."""

import importlib.util
import json
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cairn.errors import Missing, UsageError
from cairn.journal import replacing, write_atomic
from cairn.profile import attribution
from cairn.profile.comparing import compared
from cairn.profile.locate import read_trace
from cairn.profile.summary import FORMAT, TraceSummary, record, summarize


def summarized(trace: Path, steps: int | None, module: str | None) -> dict[str, Any]:
    """The summary of a trace, as JSON, with all operations: budgets need every one."""
    return record(_summary(trace, steps, module))


def _summary(trace: Path, steps: int | None, module: str | None) -> TraceSummary:
    return summarize(read_trace(trace), steps, module)


def compared_traces(before: Path, after: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Two traces side by side, as JSON."""
    old = _summary(before, options["steps_before"] or options["steps"], options["module"])
    return compared(old, _summary(after, options["steps"], options["module"]), options["top"])


def attributed(trace: Path, baseline: Path | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Budgets of a trace or summary, and their differences from a baseline's."""
    shape = attribution.Shape(options["layer_fraction"], options["upper_bound_step_ms"])
    after = _budgets(trace, options, options["step_duration_ms"])
    found: dict[str, Any] = {"summary": attribution.attribute(after, shape, options["top"])}
    if baseline is None:
        return found
    before = _budgets(baseline, options, options["baseline_step_duration_ms"])
    old = attribution.Shape(options["baseline_layer_fraction"], options["upper_bound_step_ms"])
    found["baseline"] = attribution.attribute(before, old, options["top"])
    found["comparison"] = attribution.compare(before, after, (old, shape), options["top"])
    return found


def _budgets(path: Path, options: Mapping[str, Any], step_ms: float | None) -> attribution.Summary:
    """A summary file as it is; a trace is added up first."""
    if path.is_file() and path.suffix == ".json" and not path.name.endswith(".trace.json"):
        return attribution.read_summary(path, step_ms)
    data = summarized(path, options["steps"], options["module"])
    return attribution.summary_of(data, path, step_ms)


def written(output: Path | None, found: Mapping[str, Any]) -> None:
    """Write what is printed to a file as well, if one was named."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(output, json.dumps(found, indent=2) + "\n")


def fetched(source: str, options: Mapping[str, Any]) -> list[Path]:
    """Traces from where `source` says, a repository of the hub or `wandb:` and a run.

    Raises:
        Missing: the client's package, the source, or a trace in it is not there.
        Unreachable: the service gave no answer.
    """
    from cairn.profile.hub import TRACES, XPLANES, download_traces

    patterns = [*(options["patterns"] or TRACES), *(XPLANES if options["include_xplane"] else ())]
    prefix, limit = options["path_prefix"], options["limit"]
    kind, _, run = source.partition(":")
    if kind != "wandb":
        repo = (source, options["repo_type"], options["revision"])
        folder = options["out"] or Path(".profiles/hub")
        return download_traces(repo, patterns, prefix, limit, folder, options["token"])
    if importlib.util.find_spec("wandb") is None:
        raise Missing("W&B's artifacts need the package wandb", hint="pip install 'kernel-cairn[wandb]'")
    from cairn.profile.wandb_artifacts import download_artifacts

    folder = options["out"] or Path(".profiles/wandb") / run.rpartition("/")[2].replace(":", "-")
    return download_artifacts(run, patterns, prefix, limit, folder)


def captured(folder: Path, options: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Record a variant of a problem; the recording's folder has a name that nothing else has.

    Raises:
        UsageError: no device target, or no such shape.
    """
    from cairn.cli.field_values import parse_settings
    from cairn.execution.interpreter import find_python
    from cairn.judge.protocol import VariantSource
    from cairn.judge.recording import record_profile
    from cairn.problem import load_problem
    from cairn.registry import load_registry
    from cairn.roofline import parse_target

    problem = load_problem(folder)
    target = parse_target(options["target_name"])
    if not target.measured:
        hint = f"--target {target.name}:device; without a device: cairn lab explain"
        raise UsageError(f"{target.name} is a chip, not a device that is here", hint=hint)
    shapes = problem.shapes.check if options["check_shape"] else problem.shapes.bench
    if options["shape_index"] >= len(shapes):
        raise UsageError(f"there is no shape {options['shape_index']}", hint=f"0 to {len(shapes) - 1}")
    name = options["variant"] or problem.start or problem.baseline
    variant = VariantSource.read(problem.variant(name), parse_settings(options["settings"]))
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    place = options["out"] / f"{problem.name}-{variant.name}-{stamp}-{secrets.token_hex(3)}"
    told = {"folder": str(place), "problem": problem.name, "variant": variant.name, "target": target.name}
    if options["dry_run"]:
        return {**told, "files": []}
    say(f"recording {options['steps']} calls of {problem.name}/{variant.name} on {target.name}")
    python = find_python(load_registry(problem.folder, options["registry_path"]))
    recording = record_profile(problem, target, python, variant, shapes[options["shape_index"]], options["steps"])
    place.mkdir(parents=True)
    for file, content in recording.files.items():
        with replacing(place / file) as temporary:
            temporary.write_bytes(content)
    about = {
        **told,
        "digest": variant.digest,
        "device": recording.device,
        "jax": recording.jax,
        "shape": recording.shape,
    }
    write_atomic(place / "recording.json", json.dumps({"format": FORMAT, **about}, indent=2) + "\n")
    return {**about, "files": sorted(recording.files)}
