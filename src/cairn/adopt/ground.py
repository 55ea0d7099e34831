"""What a project is before cairn comes: where its root is, which git holds it, what kind of work it does."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cairn.errors import CairnError, UsageError
from cairn.git import Git
from cairn.registry import Registry, load_registry

DOMAINS = ("pallas", "cuda", "unsloth", "research")
_MANIFESTS = ("pyproject.toml", "setup.py", "setup.cfg")
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "build", "dist"}
_MOST_FILES, _MOST_BYTES = 2000, 200_000
_SIGNS = (
    ("pallas", re.compile(rb"jax\.experimental(\.| import )pallas|pallas_call")),
    ("cuda", re.compile(rb"__global__|import triton|torch\.utils\.cpp_extension|import cutlass")),
    ("unsloth", re.compile(rb"(import|from) unsloth|FastLanguageModel")),
    ("research", re.compile(rb"\bwandb\b|torch\.optim|optax\.|import transformers")),
)


@dataclass(frozen=True)
class Ground:
    """Where cairn is to be adopted.

    `git` is None outside a repository or without git; `registry` is None when the project has none yet. `domain` is
    what the files speak of, `evidence` how many of them do.
    """

    root: Path
    git: Git | None
    registry: Registry | None
    domain: str
    evidence: int


def survey(start: Path, explicit: Path | None = None) -> Ground:
    """Look at the project that holds `start`; `explicit` is a root that the user named.

    The root is the named one; else that of a registry within the same repository; else the nearest folder upwards,
    within the repository, that has a Python project file; else the repository's top; else `start` itself.

    Raises:
        UsageError: the root would be the home folder or the file system's.
        BadInput: a registry exists and does not fit.
    """
    start = (explicit or start).resolve()
    git = _git(start)
    found = load_registry(start)
    own = found if found.path is not None and _belongs(found.root, start, git) else None
    root = start if explicit else _root(start, git, own)
    if root in (Path(root.anchor), Path.home().resolve()):
        raise UsageError(f"{root} is no project", hint="change into the project's folder, or name it with --root")
    domain, evidence = _domain(root)
    return Ground(root, git, own if own and own.root.resolve() == root else None, domain, evidence)


def _git(start: Path) -> Git | None:
    try:
        return Git(start)
    except CairnError:
        return None


def _belongs(root: Path, start: Path, git: Git | None) -> bool:
    """Whether a registry found upwards is this project's and not that of a folder around it."""
    return root.resolve().is_relative_to(git.top.resolve() if git else start)


def _root(start: Path, git: Git | None, registry: Registry | None) -> Path:
    if registry is not None:
        return registry.root.resolve()
    if git is None:
        return start
    top = git.top.resolve()
    for folder in (start, *start.parents):
        if folder == top or any((folder / name).is_file() for name in _MANIFESTS):
            return folder
    return top


def _domain(root: Path) -> tuple[str, int]:
    """The domain most files speak of, in doubt the first in `DOMAINS`; `research` when none does."""
    found = Counter[str]()
    for path in _sources(root):
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES)
        found.update(name for name, sign in _SIGNS if sign.search(text))
    best = max(DOMAINS, key=lambda name: found[name])
    return (best, found[best]) if found[best] else ("research", 0)


def _sources(root: Path) -> Iterator[Path]:
    """Source files of the project, hidden and vendored folders left out, up to a bound."""
    budget, folders = _MOST_FILES, [root]
    while folders and budget > 0:
        try:
            entries = sorted(folders.pop().iterdir())
        except OSError:
            continue
        for path in entries:
            if path.is_symlink() or path.name.startswith(".") or path.name in _SKIPPED:
                continue
            if path.is_dir():
                folders.append(path)
            elif path.suffix in (".py", ".cu", ".cuh") and path.is_file():
                budget -= 1
                yield path
