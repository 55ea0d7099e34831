"""Traces from the artifacts of a W&B run: which files match, and their download."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read while wandb is imported
os.environ.setdefault("WANDB_SILENT", "true")

import wandb

from cairn.errors import BadInput, Missing, Unreachable, UsageError
from cairn.profile.hub import matching

_FORMS = "ENTITY/PROJECT/RUN_ID, or ENTITY/PROJECT/ARTIFACT:ALIAS"


def download_artifacts(
    target: str, patterns: Sequence[str], prefix: str, limit: int | None, folder: Path
) -> list[Path]:
    """Download every file of a run's artifacts that matches, below a folder for each artifact and version.

    Args:
        target: a run, or one artifact with its alias or version.
        prefix: only files below this folder of an artifact.

    Raises:
        UsageError: the target has another form.
        Missing: no such run or artifact, or nothing matches.
        BadInput: an artifact names a file that would lie outside its folder.
        Unreachable: the service gave no answer.
    """
    if target.count("/") != 2 or not all(target.split("/")):
        raise UsageError(f"`{target}` is no W&B run or artifact", hint=f"wandb:{_FORMS}")
    try:
        return _downloaded(target, patterns, prefix, limit, folder)
    except (wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
        raise Missing(f"W&B refuses: {_first_line(error)}", hint="wandb login, or set WANDB_API_KEY") from error
    except (wandb.errors.Error, OSError, ValueError) as error:  # a run that is not there is a ValueError
        if "could not find" in str(error).lower():
            raise Missing(f"W&B has no {target}", hint=f"wandb:{_FORMS}; and may you see it?") from error
        raise Unreachable(f"W&B gave no answer of use: {_first_line(error)}") from error


def _downloaded(target: str, patterns: Sequence[str], prefix: str, limit: int | None, folder: Path) -> list[Path]:
    paths: list[Path] = []
    seen = 0
    for artifact in _artifacts(target):
        names = list(artifact.manifest.entries)
        seen += len(names)
        root = folder / f"{artifact.name.replace(':', '-')}"
        for name in matching(names, patterns, prefix):
            if limit is not None and len(paths) >= limit:
                return paths
            inside = root / name
            if not inside.resolve().is_relative_to(root.resolve()):
                raise BadInput(f"the artifact {artifact.name} names a file outside itself: {name[:200]}")
            paths.append(Path(artifact.get_entry(name).download(root=str(root))))
    if not paths:
        hint = f"its artifacts have {seen} files; --pattern, --path-prefix or --include-xplane choose others"
        raise Missing(f"no trace among the artifacts of {target}", hint=hint)
    return paths


def _artifacts(target: str) -> Iterator["wandb.Artifact"]:
    """The artifact itself, or all that a run logged, the newest last."""
    api = wandb.Api()
    if ":" in target.rpartition("/")[2]:
        yield api.artifact(target)
    else:
        yield from api.run(target).logged_artifacts()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
