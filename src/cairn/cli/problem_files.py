"""What `cairn problem` does between its options and its exit code."""

import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cairn.adopt.evolve import draft_of_config
from cairn.adopt.ground import Ground, survey
from cairn.adopt.new_problem import Draft, Wish, draft, marks
from cairn.adopt.probe import Probe, probe
from cairn.adopt.source import Extract, extract, find_module
from cairn.adopt.specification import array_of, check_sizes, shape_of, small
from cairn.cli.field_values import parse_settings
from cairn.errors import CairnError, Missing, UsageError
from cairn.execution.interpreter import find_python
from cairn.problem import load_problem
from cairn.registry import Registry, load_registry
from cairn.roofline import parse_target

_DEFAULT_TARGET = "tpu-v5p"


@dataclass(frozen=True)
class Result:
    """What a command found, as data and as text."""

    data: dict[str, Any]
    text: str


def make(root: Path | None, registry_path: Path | None, given: Mapping[str, Any], *, dry_run: bool) -> Result:
    """Write the files of a new problem.

    Raises:
        UsageError: a specification does not fit the function, or the problem exists.
    """
    ground = survey(Path.cwd(), root)
    registry = load_registry(ground.root, registry_path)
    wish = _wish(ground.root, registry, given)
    made = draft(wish, ground.root)
    found = _tried(registry, wish, made)
    if found.outputs and not wish.outputs:
        made = draft(replace(wish, outputs=found.outputs), ground.root)
    return _written(_problems(ground, registry) / wish.name, made, found.trouble, dry_run=dry_run)


def _wish(root: Path, registry: Registry, given: Mapping[str, Any]) -> Wish:
    kernel = _extract(root, given["function"])
    baseline = _extract(root, given["baseline"]) if given["baseline"] else None
    oracle = _extract(root, given["oracle"]) if given["oracle"] else baseline
    inputs, outputs = (tuple(array_of(text) for text in given[key]) for key in ("inputs", "outputs"))
    bench, check = (tuple(shape_of(text) for text in given[key]) for key in ("bench", "check"))
    axes = {axis for array in inputs for axis in array.axes if isinstance(axis, str)}
    if axes and not bench:
        sizes = ",".join(f"{axis}=..." for axis in sorted(axes))
        raise UsageError(
            "the inputs have named axes, and no shape says how long they are", hint=f"--shape {sizes}"
        )
    check_sizes([*inputs, *outputs], [*bench, *check])
    return Wish(
        name=given["name"] or kernel.function.lstrip("_").lower(),
        kernel=kernel,
        baseline=baseline,
        oracle=oracle,
        inputs=inputs,
        outputs=outputs,
        bench=bench,
        check=check,
        targets=_targets(registry, given["targets"]),
        fixed=parse_settings(given["settings"]),
    )


def _extract(root: Path, text: str) -> Extract:
    module, colon, function = text.rpartition(":")
    if not colon or not function.isidentifier():
        raise UsageError(f"`{text}` is not MODULE:FUNCTION", hint="for example: my_pkg.kernels:softmax")
    return extract(find_module(root, module), function)


def _targets(registry: Registry, named: Sequence[str]) -> tuple[str, ...]:
    chosen = tuple(named) or registry.targets or (_DEFAULT_TARGET,)
    for name in chosen:
        parse_target(name)
    return chosen


def _tried(registry: Registry, wish: Wish, made: Draft) -> Probe:
    """One try of the new variant, when its inputs are known and there is an interpreter with jax."""
    if not wish.inputs:
        return Probe((), "not tried, because its inputs are not known: name them with --input")
    try:
        python = find_python(registry)
    except CairnError as error:
        return Probe((), f"not tried: {error.message}")
    shapes = [*(wish.check or [small(shape) for shape in wish.bench[:1]]), *wish.bench[:1]] or [{}]
    platform = "tpu" if wish.targets[0].startswith("tpu") else "cpu"
    text = made.files[f"variants/{made.start}.py"]
    return probe(python, made.start, text, wish.inputs, shapes, platform)


def take_over(root: Path | None, registry_path: Path | None, given: Mapping[str, Any], *, dry_run: bool) -> Result:
    """Write the files of a problem from a pallas-evolve configuration."""
    ground = survey(Path.cwd(), root)
    registry = load_registry(ground.root, registry_path)
    for name in given["targets"]:
        parse_target(name)
    found = draft_of_config(given["config"], given["name"], given["targets"], find_python(registry))
    folder = _problems(ground, registry) / found.name
    return _written(folder, found.draft, "", notes=found.notes, dry_run=dry_run)


def _problems(ground: Ground, registry: Registry) -> Path:
    """The folder of the project's problems."""
    return registry.paths.kernels if registry.path is not None else ground.root / "kernels"


def _written(folder: Path, made: Draft, trouble: str, *, notes: Sequence[str] = (), dry_run: bool) -> Result:
    """Put a draft into the project's folder of problems, as a whole or not at all.

    Raises:
        UsageError: something of that name is there.
        Missing: the folder cannot be written.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists", hint="choose another --name, or remove it first")
    left = marks(made.files)
    if not dry_run:
        _place(folder, made.files)
    data = {
        "problem": str(folder),
        "written": not dry_run,
        "files": sorted(made.files),
        "start": made.start,
        "baseline": made.baseline,
        "trouble": trouble,
        "notes": list(notes),
        "left": [asdict(mark) for mark in left],
    }
    verb = "would write" if dry_run else "wrote"
    lines = [f"{verb} {folder}: {', '.join(sorted(made.files))}"]
    lines += [f"  the try: {trouble}"] if trouble else []
    lines += [f"  note: {note}" for note in notes]
    lines += [f"  {mark.kind} {mark.path}:{mark.line}: {mark.text}" for mark in left]
    lines.append(f"then: cairn problem check {shlex.quote(str(folder))}")
    lines.append("fit, and committed: cairn climb with the same folder; `--agent tuner` needs no model")
    return Result(data, "\n".join(lines))


def _place(folder: Path, texts: Mapping[str, str]) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            whole = Path(temporary) / folder.name
            for name, text in texts.items():
                (whole / name).parent.mkdir(parents=True, exist_ok=True)
                (whole / name).write_text(text, encoding="utf-8")
            whole.rename(folder)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise Missing(f"cannot write {folder}: {error.strerror}", hint="allow writing there") from error


def examine_folder(
    folder: Path, target_name: str | None, registry_path: Path | None, say: Callable[[str], None]
) -> Result:
    """Examine a problem and say whether it is fit."""
    from cairn.adopt.fitness import examine  # the judge comes with it, and only this command needs it
    from cairn.cli.judging import choose_target
    from cairn.cli.progress import StageLine

    problem = load_problem(folder)
    registry = load_registry(problem.folder, registry_path)
    target = choose_target(problem, target_name)
    found = examine(problem, target, find_python(registry), StageLine(say))
    lines = [f"{problem.folder}, target {target.name}"]
    lines += [f"  {_mark(each.ok, each.fatal)} {each.what}: {each.detail}" for each in found.findings]
    lines += [f"  {mark.kind} {mark.path}:{mark.line}: {mark.text}" for mark in found.left]
    lines += ["fit to climb" if not found.blocking else f"not fit to climb: {len(found.blocking)} reasons above"]
    data = {"problem": str(problem.folder), "target": target.name, **found.record()}
    return Result(data, "\n".join(lines))


def _mark(ok: bool, fatal: bool) -> str:
    return "ok" if ok else "NO" if fatal else "--"
