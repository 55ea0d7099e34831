"""Which of a user's files a function needs: its own, and what it imports from folders that are not installed.

Nothing is imported to find out; imports are read from the syntax, followed, and the files are handed to a locked
process as bytes. What is imported under a computed name, or read as data, is not seen here: `--with` adds it.
"""

import ast
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cairn.errors import BadInput, Missing, UsageError
from cairn.settings import did_you_mean

MAX_FILES, MAX_BYTES, MAX_FILE_BYTES = 3_000, 64 * 2**20, 16 * 2**20
_INSTALLED = {"site-packages", "dist-packages"}
_SKIPPED = {"__pycache__", "node_modules", ".git", ".venv", "venv"}
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$")


@dataclass(frozen=True)
class UserFunction:
    """A function and the files that it needs.

    Attributes:
        module: dotted name to import, None when the file's name is no module name.
        file: path below the first root, for that case.
        function: name in the module, dots allowed.
        roots: folders to import from, in order.
        files: (index of the root, relative path, content).
    """

    module: str | None
    file: str | None
    function: str
    roots: tuple[str, ...]
    files: tuple[tuple[int, str, bytes], ...] = field(repr=False)


def find(text: str, extra: Sequence[Path] = ()) -> UserFunction:
    """Resolve `FILE.py:FUNCTION` or `package.module:FUNCTION`.

    Args:
        text: what the user wrote.
        extra: files or folders to take along, beside what imports name.

    Raises:
        UsageError: not of that form.
        Missing: no such file.
        BadInput: a file does not parse, or there are too many.
    """
    place, colon, function = text.rpartition(":")
    if not colon or not _NAME.match(function) or not place:
        raise UsageError(
            f"`{text}` is not FILE:FUNCTION", hint="for example: kernels.py:matmul, or package.module:f"
        )
    if place.endswith(".py") or "/" in place:
        return _from_file(Path(place).expanduser(), function, extra)
    if not _NAME.match(place):
        raise UsageError(f"`{place}` is neither a Python file nor a module name", hint="FILE.py:FUNCTION")
    return _from_module(place, function, extra)


def _from_file(path: Path, function: str, extra: Sequence[Path]) -> UserFunction:
    if not path.is_file():
        raise Missing(f"no file {path}", hint="name a Python file: FILE.py:FUNCTION")
    path = path.resolve()
    root = path.parent
    while (root / "__init__.py").is_file() and root != root.parent:
        root = root.parent
    relative = path.relative_to(root)
    dotted = ".".join(relative.with_suffix("").parts)
    _check_names(_parsed(path), path, function)
    files = _Gathered(_roots(root))
    files.take(path)
    files.take_extra(extra)
    module = dotted if _NAME.match(dotted) and relative.parts[0] not in sys.stdlib_module_names else None
    module = None if module is not None and _installed_name(relative.parts[0]) else module
    return UserFunction(module, relative.as_posix(), function, files.roots(), files.result())


def _from_module(module: str, function: str, extra: Sequence[Path]) -> UserFunction:
    files = _Gathered(_roots(Path.cwd()))
    files.take_import(module)
    files.take_extra(extra)
    return UserFunction(module, None, function, files.roots(), files.result())


def _installed_name(name: str) -> bool:
    """Whether a file's name is that of an installed package, e.g. `jax.py`: it is then loaded by its path."""
    stem = name.removesuffix(".py")
    return any((Path(place) / stem).is_dir() for place in sys.path if Path(place).name in _INSTALLED)


def _roots(first: Path) -> list[Path]:
    """Where local modules are looked for: the file's folder, the working folder, PYTHONPATH and paths in sys.path."""
    stdlib = {Path(path).resolve() for path in (os.__file__.rpartition("/")[0], sys.prefix, sys.base_prefix)}
    own = Path(__file__).resolve().parents[2]  # cairn itself is not the user's
    found = [first.resolve(), Path.cwd().resolve()]
    for entry in [*os.environ.get("PYTHONPATH", "").split(os.pathsep), *sys.path]:
        path = Path(entry).resolve() if entry else None
        if path is None or not path.is_dir() or path == own or _INSTALLED.intersection(path.parts):
            continue
        if not any(path == place or path.is_relative_to(place / "lib") for place in stdlib):
            found.append(path)
    return list(dict.fromkeys(found))


class _Gathered:
    """Files taken so far, by path; imports of a Python file are followed once."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = list(roots)
        self._content: dict[Path, bytes] = {}
        self._bytes = 0

    def result(self) -> tuple[tuple[int, str, bytes], ...]:
        return tuple(
            (index, path.relative_to(self._roots[index]).as_posix(), content)
            for path, content in sorted(self._content.items())
            if (index := self._root_of(path)) is not None
        )

    def roots(self) -> tuple[str, ...]:
        return tuple(map(str, self._roots))

    def _root_of(self, path: Path) -> int | None:
        return next((index for index, root in enumerate(self._roots) if path.is_relative_to(root)), None)

    def take(self, path: Path) -> None:
        """Take a file with all that it imports.

        Raises:
            BadInput: there are too many files, or too large ones.
        """
        if path in self._content or not self._hold(path):
            return
        if path.suffix == ".py":
            for name in _imported(self._content[path], self._package_of(path)):
                self.take_import(name)

    def _hold(self, path: Path) -> bool:
        try:
            content = path.read_bytes()
        except OSError:
            return False
        self._bytes += len(content)
        if len(self._content) >= MAX_FILES or self._bytes > MAX_BYTES:
            raise BadInput(
                f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB belong to it",
                path=path,
                hint="put the kernel and its own modules into a folder of their own",
            )
        self._content[path] = content
        return True

    def _package_of(self, path: Path) -> list[str]:
        """Names of the packages round a file, outermost first."""
        index = self._root_of(path)
        return list(path.parent.relative_to(self._roots[index]).parts) if index is not None else []

    def take_import(self, name: str) -> None:
        """Take the local module or package of this name; a package as a whole, for it may load any part of itself."""
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names:
            return
        for root in self._roots:
            if (root / f"{top}.py").is_file():
                return self.take(root / f"{top}.py")
            if (root / top / "__init__.py").is_file():
                return self._take_folder(root / top)
            if (root / top).is_dir():  # a package without __init__: only what is named
                self._take_below(root, name.split("."))
        return None

    def _take_below(self, root: Path, parts: list[str]) -> None:
        for depth in range(len(parts), 1, -1):
            path = root.joinpath(*parts[:depth])
            if path.with_suffix(".py").is_file():
                return self.take(path.with_suffix(".py"))
            if (path / "__init__.py").is_file():
                return self._take_folder(path)
        return None

    def _take_folder(self, folder: Path) -> None:
        for path in _files_below(folder):
            if path.suffix == ".py":
                self.take(path)
            elif path not in self._content and path.stat().st_size <= MAX_FILE_BYTES:
                self._hold(path)

    def take_extra(self, extra: Iterable[Path]) -> None:
        """Take what the user named.

        Raises:
            Missing: it is not there.
        """
        for named in extra:
            path = named.expanduser().resolve()
            if not path.exists():
                raise Missing(f"no file or folder {named}", hint="`--with` names what the function needs besides")
            folder = path if path.is_dir() else path.parent
            if folder not in self._roots:
                self._roots.append(folder)
            for file in _files_below(path) if path.is_dir() else [path]:
                self.take(file)


def _files_below(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _SKIPPED and not name.startswith("."))
        if "pyvenv.cfg" in names:
            folders[:] = []
            continue
        yield from (Path(where) / name for name in sorted(names) if not name.endswith((".pyc", ".so")))


def _parsed(path: Path) -> ast.Module:
    """Fail early, with the line, for a file that is no Python.

    Raises:
        BadInput: it is none.
    """
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise BadInput(f"not valid Python: {getattr(error, 'msg', error)}", path=path, line=line) from error


def _check_names(tree: ast.Module, path: Path, function: str) -> None:
    """Fail early for a name that the file never binds, unless it may bind names that cannot be read from it.

    Raises:
        UsageError: there is no such name.
    """
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    defined = {getattr(node, "name", "") for node in nodes}
    top = function.partition(".")[0]
    if top in names | {name.partition(".")[0] for name in imported} | defined:
        return
    if "*" in imported or names & {"globals", "exec", "setattr", "vars"} or "__getattr__" in defined:
        return
    hint = did_you_mean(top, sorted(name for name in defined if name and not name.startswith("_")))
    raise UsageError(f"{path} defines no `{top}`", hint=hint or "FILE.py:FUNCTION names a function of the file")


def _imported(content: bytes, package: list[str]) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it; none of a file that is no Python: importing it will tell."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{stem}.{alias.name}" if stem else alias.name for alias in node.names)
