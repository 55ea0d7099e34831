"""Traces from a repository on a model hub: which files match, and their download."""

import fnmatch
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from cairn.errors import Missing, Unreachable

TRACES = ("*.trace.json.gz", "*trace*.json.gz", "*profile.json")
XPLANES = ("*.xplane.pb", "*.xplane.pb.gz")


def download_traces(
    repo: tuple[str, str, str],
    patterns: Sequence[str],
    prefix: str,
    limit: int | None,
    folder: Path,
    token: str | None,
) -> list[Path]:
    """Download every file of a repository that matches; what is there already is not fetched again.

    Args:
        repo: its id, its type (dataset, model, space) and the revision.
        prefix: only files below this folder.

    Raises:
        Missing: huggingface_hub is not installed, no such repository, or nothing matches.
        Unreachable: the hub gave no answer.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise Missing("downloading traces needs huggingface_hub", hint="pip install 'kernel-cairn[hub]'")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    name, kind, revision = repo
    api = HfApi(token=token)
    try:
        files = api.list_repo_files(name, repo_type=kind, revision=revision)
        chosen = matching(files, patterns, prefix)[:limit]
        if not chosen:
            hint = f"it has {len(files)} files; --pattern, --path-prefix or --include-xplane choose others"
            raise Missing(f"no trace in {name} at {revision}", hint=hint)
        folder.mkdir(parents=True, exist_ok=True)
        paths = (
            api.hf_hub_download(name, file, repo_type=kind, revision=revision, local_dir=folder) for file in chosen
        )
        return [Path(path) for path in paths]
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        hint = "check --repo-id, --repo-type, --revision and the token"
        raise Missing(f"no {kind} {name} at {revision}", hint=hint) from error
    except (HfHubHTTPError, OSError) as error:
        raise Unreachable(f"the hub gave no answer: {error}") from error


def matching(files: Sequence[str], patterns: Sequence[str], prefix: str) -> list[str]:
    """Files below the prefix whose path or name fits a pattern, in order."""
    below = [
        file for file in sorted(files) if not prefix or file.startswith(prefix.rstrip("/") + "/") or file == prefix
    ]
    return [
        file
        for file in below
        if any(fnmatch.fnmatch(file, pattern) or fnmatch.fnmatch(Path(file).name, pattern) for pattern in patterns)
    ]
