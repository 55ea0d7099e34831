"""A user's modules inside the locked room: copies that believe to lie where the user keeps them.

The files arrive as bytes, are written below this worker's own folder and imported from there, but compiled under the
path the user knows: tracebacks and the locations in a lowered program then name the user's files, and equal files
give equal programs wherever the worker's folder is.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

FOLDER = "source"
_shown: dict[str, str] = {}


class _Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> CodeType:  # type: ignore[override]
        return super().source_to_code(data, shown(str(path)), _optimize=_optimize)


def place(roots: Sequence[str], files: Sequence[Mapping[str, Any]], blobs: Sequence[bytes]) -> None:
    """Write the files and make them importable.

    Args:
        roots: folders of the user, in the order in which they are searched.
        files: for each blob `{"root": index, "path": relative path}`.
        blobs: contents.
    """
    base = Path.cwd() / FOLDER
    for entry, content in zip(files, blobs, strict=True):
        path = base / str(entry["root"]) / entry["path"]
        if not path.resolve().is_relative_to(base.resolve()):
            raise ValueError(f"{entry['path']!r} leaves its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for index, root in enumerate(roots):
        (base / str(index)).mkdir(parents=True, exist_ok=True)
        _shown[f"{base / str(index)}/"] = root.rstrip("/") + "/"
    folders = [_folder_of(root, roots, base) for root in roots]
    hook = importlib.machinery.FileFinder.path_hook((_Loader, importlib.machinery.SOURCE_SUFFIXES))

    def own_hook(path: str) -> Any:
        if not path.startswith(str(base)):
            raise ImportError(path)
        return hook(path)

    sys.path_hooks.insert(0, own_hook)
    sys.path[:0] = folders
    sys.path_importer_cache.clear()


def _folder_of(root: str, roots: Sequence[str], base: Path) -> str:
    """Where the files of a root lie: a file is placed below the first root that contains it."""
    for index, outer in enumerate(roots):
        if root == outer or root.startswith(outer.rstrip("/") + "/"):
            return str(base / str(index) / root[len(outer) :].strip("/"))
    raise ValueError(f"{root} is no root")


def shown(path: str) -> str:
    """The user's own name for a file of this room."""
    for here, there in _shown.items():
        if path.startswith(here):
            return there + path[len(here) :]
    return path


def load(module: str | None, file: str | None) -> ModuleType:
    """Import by dotted name, or - when the file's name is no module name - by path below the first root.

    Raises:
        Exception: whatever the user's module raises.
    """
    if module is not None:
        return importlib.import_module(module)
    assert file is not None
    path = str(Path.cwd() / FOLDER / "0" / file)
    spec = importlib.util.spec_from_loader("user_file", _Loader("user_file", path), origin=path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    loaded.__file__ = path
    sys.modules["user_file"] = loaded
    spec.loader.exec_module(loaded)
    return loaded
