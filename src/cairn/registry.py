"""The registry of a project: its domain, where its files are, and its settings.

Found by `--registry`, then `CAIRN_REGISTRY`, then the nearest, going upwards, of `.codex/skills/registry.json`,
`.agents/skills/registry.json` and `registry.json`. Registries written by other packs work as they are; keys
that cairn does not know are left alone, and one that looks like a misspelling of a known key is reported.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cairn.errors import BadInput
from cairn.settings import Source, did_you_mean

_PLACES = (Path(".codex/skills/registry.json"), Path(".agents/skills/registry.json"), Path("registry.json"))
_SKILL_FOLDERS = (".codex/skills", ".agents/skills")


class _PathKeys(msgspec.Struct, frozen=True):
    reports: str | None = None
    experiment_log: str | None = None
    troubleshooting: str | None = None
    templates: str | None = None
    learnings: str = "AGENT.md"
    kernels: str = "kernels"
    runs: str = ".cairn/runs"


class ClimbSettings(msgspec.Struct, frozen=True):
    """Defaults of `cairn climb`.

    `margin`: the least relative gain in predicted cost that counts. `agent_idle_s` must exceed the longest command
    that an agent runs, because most say nothing meanwhile. `trust_interpreter`: keep kernels that the replay cannot
    check when the interpreter, which a variant could fool, finds them right. `python`: the interpreter that has the
    kernels' jax. `track`: trackers, as `--track` takes them. `profile_brief`: tell
    the agent where the champion spends its time.
    """

    attempts: int = 6
    margin: float = 0.05
    python: str | None = None
    trust_interpreter: bool = False
    agent_wall_s: float = 1800.0
    agent_idle_s: float = 600.0
    codex_model: str | None = None
    codex_reasoning_effort: str | None = None
    codex_sandbox: str = "workspace-write"
    track: tuple[str, ...] = ()
    profile_brief: bool = True


class _Keys(msgspec.Struct, frozen=True):
    domain: str | None = None
    version: str | None = None
    created: str | None = None
    updated: str | None = None
    skills: dict[str, Any] = {}
    paths: _PathKeys = _PathKeys()
    climb: ClimbSettings = ClimbSettings()
    targets: list[str] = []
    github: dict[str, Any] = {}


@dataclass(frozen=True)
class Paths:
    """Resolved paths of a project, all inside its root; None where the registry names nothing."""

    reports: Path | None
    experiment_log: Path | None
    troubleshooting: Path | None
    templates: Path | None
    learnings: Path
    kernels: Path
    runs: Path


@dataclass(frozen=True)
class Registry:
    """What `registry.json` says, or its defaults when a project has none (`path` is None then)."""

    root: Path
    path: Path | None
    domain: str | None
    paths: Paths
    climb: ClimbSettings
    targets: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def load_registry(start: Path, explicit: Path | None = None) -> Registry:
    """Find and read the registry that governs `start`.

    Raises:
        Missing: `explicit` or `CAIRN_REGISTRY` names a file that is not there.
        BadInput: wrong type, or a path that leaves the project.
    """
    path = explicit or _from_environment() or _nearest(start)
    if path is None:
        root = _git_root(start) or start.resolve()
        return _resolve(root, None, _Keys(), None)
    source = Source(path.absolute(), missing_hint="name an existing file, or leave the option out")
    return _resolve(_root_of(path.absolute()), source, source.to(_Keys), path.absolute())


def _from_environment() -> Path | None:
    value = os.environ.get("CAIRN_REGISTRY")
    return Path(value) if value else None


def _nearest(start: Path) -> Path | None:
    start = start.resolve()
    for folder in (start, *start.parents):
        for place in _PLACES:
            if (folder / place).is_file():
                return folder / place
    return None


def _root_of(path: Path) -> Path:
    folder = path.parent
    for nested in _SKILL_FOLDERS:
        if folder.as_posix().endswith("/" + nested):
            return folder.parent.parent
    return folder


def _git_root(start: Path) -> Path | None:
    """The nearest repository upwards; an empty `.git`, as some sandboxes leave behind, is none."""
    start = start.resolve()
    marks = ((folder, folder / ".git") for folder in (start, *start.parents))
    return next((folder for folder, mark in marks if mark.is_file() or (mark / "HEAD").exists()), None)


def _resolve(root: Path, source: Source | None, keys: _Keys, path: Path | None) -> Registry:
    def inside(name: str, value: str) -> Path:
        return path_inside(root, value, source, "paths", name)

    def maybe(name: str, value: str | None) -> Path | None:
        return None if value is None else inside(name, value)

    named = keys.paths
    return Registry(
        root=root,
        path=path,
        domain=keys.domain,
        paths=Paths(
            reports=maybe("reports", named.reports),
            experiment_log=maybe("experiment_log", named.experiment_log),
            troubleshooting=maybe("troubleshooting", named.troubleshooting),
            templates=maybe("templates", named.templates),
            learnings=inside("learnings", named.learnings),
            kernels=inside("kernels", named.kernels),
            runs=inside("runs", named.runs),
        ),
        climb=keys.climb,
        targets=tuple(keys.targets),
        warnings=() if source is None else tuple(_likely_typos(source)),
    )


def path_inside(root: Path, value: str, source: Source | None, *key: str) -> Path:
    """Resolve a path of a settings file against the project's root.

    Raises:
        BadInput: it leaves the project.
    """
    resolved = (root / value).resolve()
    if not resolved.is_relative_to(root.resolve()):
        message = f"`{value}` leaves the project"
        hint = "use a path inside the project's folder"
        raise source.error(message, *key, hint=hint) if source else BadInput(message, hint=hint)
    return root / value if not Path(value).is_absolute() else resolved


def _likely_typos(source: Source) -> list[str]:
    """Unknown keys that resemble a known one; other unknown keys belong to somebody else."""
    found = []
    levels: list[tuple[tuple[str, ...], type[msgspec.Struct]]] = [
        ((), _Keys),
        (("paths",), _PathKeys),
        (("climb",), ClimbSettings),
    ]
    for section, struct in levels:
        data = source.data
        for step in section:
            data = data.get(step) or {}
        known = list(struct.__struct_fields__)
        for key in sorted(data.keys() - set(known)):
            if _resembles(key, known):
                where, line = ".".join((*section, key)), source.line((*section, key))
                found.append(f"{source.path}:{line}: unknown key `{where}`; {did_you_mean(key, known)}")
    return found


def _resembles(key: str, known: list[str]) -> bool:
    from rapidfuzz import fuzz  # 30 ms to import, and only unknown keys need it

    return any(fuzz.ratio(key, name) >= 80 for name in known)
