"""From the words of a `cairn lab` command to the kernel that is meant, and to the processes that look at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cairn.cli.field_values import parse_settings
from cairn.errors import UsageError
from cairn.execution.interpreter import find_python
from cairn.lab.bench import Bench
from cairn.lab.cache import Cache, default_cache
from cairn.lab.lowering import Request
from cairn.lab.shapes import parse_call
from cairn.lab.subject import Subject, exported
from cairn.lab.targets import known_targets
from cairn.lab.user_files import find
from cairn.problem import Problem, Shape, load_problem
from cairn.registry import Registry, load_registry
from cairn.roofline import Floor, chips

_FUNCTION_ONLY = ("shapes", "inputs", "extra", "dtype")
_PROBLEM_ONLY = ("variant", "shape")


@dataclass(frozen=True)
class Wish:
    """A subject, what it is looked at on, and with what. `problem` and `shape` are None for a function."""

    subject: Subject
    targets: list[str]
    python: Path
    cache: Cache | None
    timeout_s: float
    problem: Problem | None = None
    shape: Shape | None = None

    def bench(self, target: str) -> Bench:
        """The processes for one target, not started yet."""
        return Bench(self.python, target, cache=self.cache, timeout_s=self.timeout_s)


def wish_of(text: str, root: Path | None, options: Mapping[str, Any]) -> Wish:
    """Read a subject and the options of its command.

    Raises:
        CairnError: something in them does not make sense; says what.
    """
    registry = load_registry(root or Path.cwd())
    settings = parse_settings(options["settings"])
    cache = None if options["no_cache"] else default_cache()
    problem, shape = None, None
    python = find_python(registry)
    if _is_problem(text):
        _refuse(options, _FUNCTION_ONLY, f"`{text}` is a problem: its variant and shape are chosen by")
        problem = load_problem(Path(text))
        subject, shape = _variant(problem, python, options, settings)
    else:
        _refuse(options, _PROBLEM_ONLY, f"`{text}` is no problem: its arguments are described by")
        subject = _function(text, options, settings)
    return Wish(subject, _targets(options, problem, registry), python, cache, options["timeout"], problem, shape)


def _is_problem(text: str) -> bool:
    path = Path(text)
    return path.name == "problem.yaml" or (path.is_dir() and ":" not in text)


def _targets(options: Mapping[str, Any], problem: Problem | None, registry: Registry) -> list[str]:
    named = problem.targets if problem is not None and problem.targets else registry.targets
    return known_targets(options["targets"], [name for name in named if not name.endswith(":device")])


def _refuse(options: Mapping[str, Any], names: Sequence[str], why: str) -> None:
    """Complain about options that belong to another kind of subject.

    Raises:
        UsageError: one was given.
    """
    given = [name for name in names if options.get(name)]
    if given:
        other = _PROBLEM_ONLY if names is _FUNCTION_ONLY else _FUNCTION_ONLY
        words = ", ".join("--with" if name == "extra" else f"--{name}" for name in other)
        raise UsageError(f"--{given[0].replace('extra', 'with')} does not apply", hint=f"{why} {words}")


def _function(text: str, options: Mapping[str, Any], settings: Mapping[str, Any]) -> Subject:
    if ":" not in text:
        if text.endswith(".py"):
            raise UsageError(f"`{text}` names no function", hint=f"{text}:FUNCTION")
        return exported(Path(text))
    call = parse_call(options["shapes"], options["dtype"]) if options["shapes"] else None
    if call is not None and options["inputs"]:
        raise UsageError("--shapes and --inputs both describe the arguments", hint="leave one of them out")
    function = find(text, options["extra"])
    return Subject(_shortened(text, settings), function, Request(settings, call, options["inputs"]))


def _shortened(text: str, settings: Mapping[str, Any]) -> str:
    place, _, function = text.rpartition(":")
    words = "".join(f" {name}={value}" for name, value in settings.items())
    return f"{Path(place).name}:{function}{words}"


def _variant(
    problem: Problem, python: Path, options: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[Subject, Shape]:
    from cairn.judge.protocol import Oracle  # numpy comes with it, and functions need neither

    name = options["variant"] or problem.start or problem.baseline
    path = problem.variant(name)
    shape = _shape(problem, options["shape"], options.get("small", False))
    oracle = Oracle(problem, python)
    try:
        specs = oracle.specs(shape)
        given = oracle.given(shape)
    finally:
        oracle.close()
    nodes = [{"kind": "array", "shape": spec["shape"], "dtype": spec["dtype"]} for spec in specs]
    words = "".join(f" {key}={value}" for key, value in settings.items())
    label = f"{problem.name}/{path.stem}{words}"
    call = {"positional": nodes, "keyword": {}}
    request = Request(settings, call)
    return Subject(label, find(f"{path}:run"), request, given=(given,) if given else ()), shape


def _shape(problem: Problem, text: str | None, is_small: bool) -> Shape:
    """The first bench shape (check shape if small), another by its number, or sizes by name over the first one's.

    Raises:
        UsageError: no such shape, or a name that shapes of this problem have not.
    """
    bench = problem.shapes.check if is_small else problem.shapes.bench
    if not text:
        return dict(bench[0])
    if text.isdecimal():
        if int(text) >= len(bench):
            raise UsageError(f"there is no shape {text}", hint=f"0 to {len(bench) - 1}, or sizes: B=8,T=4096")
        return dict(bench[int(text)])
    sizes = parse_settings([word for word in text.replace(",", " ").split() if word])
    strange = [name for name, size in sizes.items() if name not in bench[0] or not isinstance(size, int)]
    if strange:
        known = ", ".join(bench[0])
        raise UsageError(f"`{strange[0]}` is no size of {problem.name}", hint=f"sizes are whole numbers: {known}")
    return {**bench[0], **sizes}


def stated_floors(wish: Wish, target: str) -> tuple[Floor, Floor] | None:
    """Physics and target floor of a problem's shape on a target, None for a function."""
    if wish.problem is None or wish.shape is None:
        return None
    from cairn.judge import physics
    from cairn.judge.protocol import Oracle

    oracle = Oracle(wish.problem, wish.python)
    try:
        dtype = next(iter(wish.problem.outputs.values()))
        both = physics.floors_of(chips()[target], oracle.cost(wish.shape), dtype)
    finally:
        oracle.close()
    return both.physics, both.target
