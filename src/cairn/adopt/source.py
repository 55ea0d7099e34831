"""Find a function in a project's files and cut it out with everything of its module that it needs.

Only text is read; nothing is imported. A variant runs alone in a locked-in process, so it cannot import the project:
what the function takes from other modules of the project is reported, to be copied by hand.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cairn.errors import BadInput, Missing, UsageError
from cairn.settings import did_you_mean

# what the interpreter of the workers has
AVAILABLE = {"jax", "jaxlib", "numpy", "ml_dtypes", *sys.stdlib_module_names}
Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Parameter:
    """One parameter; `literal` is its default where that is a plain number, text or truth value."""

    name: str
    has_default: bool
    literal: object = None
    keyword_only: bool = False


@dataclass(frozen=True)
class Extract:
    """A function with what it needs, as text.

    `imports` and `body` keep the module's own lines and order. `foreign` are imports that a worker cannot satisfy, as
    "line N: statement". `names` are the module-level names in both.
    """

    path: Path
    function: str
    line: int
    imports: str
    body: str
    parameters: tuple[Parameter, ...]
    foreign: tuple[str, ...]
    names: frozenset[str] = field(default_factory=frozenset)

    @property
    def text(self) -> str:
        """A module of its own."""
        return f"{self.imports}\n\n\n{self.body}".lstrip("\n")


def find_module(root: Path, module: str) -> Path:
    """The file of a dotted module, or of a path to a Python file, inside the project.

    Raises:
        Missing: there is no such file.
        UsageError: it lies outside the project.
    """
    if module.endswith(".py") or "/" in module:
        candidates = [Path(module) if Path(module).is_absolute() else base / module for base in (Path.cwd(), root)]
    else:
        stem = Path(*module.split("."))
        bases = [root, root / "src", Path.cwd(), *(path for path in sorted(root.glob("*/src")))]
        candidates = [base / name for base in bases for name in (stem.with_suffix(".py"), stem / "__init__.py")]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        looked = ", ".join(dict.fromkeys(str(path.parent) for path in candidates))
        raise Missing(f"no module `{module}`; looked in {looked}", hint="name a file: path/to/kernels.py:function")
    if not path.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            f"{path} lies outside the project {root}", hint="copy it into the project, or name --root"
        )
    return path.resolve()


def extract(path: Path, function: str) -> Extract:
    """Cut a module-level function out of its file.

    Raises:
        BadInput: the file is no Python, or has no such function.
    """
    module = Module.read(path)
    definition = module.function(function)
    wanted = _closure(module, function)
    used = [node for node in module.tree.body if wanted & set(_bound(node)) or _is_future(node)]
    imports = [module.text_of(node) for node in used if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [
        _apart(node) + module.text_of(node) for node in used if not isinstance(node, ast.Import | ast.ImportFrom)
    ]
    return Extract(
        path=path,
        function=function,
        line=definition.lineno,
        imports="\n".join(imports),
        body="\n".join(rest).lstrip("\n") + "\n",
        parameters=tuple(_parameters(definition)),
        foreign=_foreign(used),
        names=frozenset(name for node in used for name in _bound(node)),
    )


@dataclass(frozen=True)
class Module:
    """A Python file, parsed."""

    path: Path
    lines: list[str]
    tree: ast.Module

    @classmethod
    def read(cls, path: Path) -> "Module":
        """Read and parse a file.

        Raises:
            BadInput: it is not Python text.
        """
        try:
            text = path.read_text(encoding="utf-8")
            return cls(path, text.splitlines(), ast.parse(text))
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"cannot be read as text: {error}", path=path) from error
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            raise BadInput(f"not valid Python: {getattr(error, 'msg', error)}", path=path, line=line) from error

    def function(self, name: str) -> Definition:
        """The function of that name at the top of the module.

        Raises:
            BadInput: there is none.
        """
        found = {node.name: node for node in self.tree.body if isinstance(node, Definition)}
        if name not in found:
            hint = did_you_mean(name, list(found)) or "only functions at the top of a module can be taken"
            raise BadInput(f"no function `{name}` at the top of the module", path=self.path, hint=hint)
        return found[name]

    def names(self) -> set[str]:
        """Names that the top of the module gives a meaning to."""
        return {name for node in self.tree.body for name in _bound(node)}

    def text_of(self, node: ast.stmt) -> str:
        """The lines of a statement, its decorators and the comment above it included."""
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
        while first > 0 and self.lines[first - 1].lstrip().startswith("#"):
            first -= 1
        return "\n".join(self.lines[first : node.end_lineno])


def foreign_imports(module: Module) -> tuple[str, ...]:
    """Imports of a whole module that a worker cannot satisfy, as "line N: statement"."""
    return _foreign(module.tree.body)


def _foreign(nodes: list[ast.stmt]) -> tuple[str, ...]:
    imports = (node for node in _imports(nodes) if not _names_of(node) <= AVAILABLE)
    return tuple(f"line {node.lineno}: {ast.unparse(node)}" for node in imports)


def _closure(module: Module, function: str) -> set[str]:
    """Module-level names that a function reaches, itself included."""
    needs: dict[str, set[str]] = {}
    for node in module.tree.body:
        read = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        for name in _bound(node):
            needs.setdefault(name, set()).update(read)
    wanted, todo = set[str](), [function]
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += [other for other in needs.get(name, ()) if other in needs]
    return wanted


def _bound(node: ast.stmt) -> list[str]:
    """Names that a module-level statement gives a meaning to."""
    if isinstance(node, Definition | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    stores = (n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    inner = (name for child in _statements(node) for name in _bound(child))
    return [*stores, *inner]


def _statements(node: ast.stmt) -> Iterator[ast.stmt]:
    """Statements inside `if`, `try` and `with` at the top of a module."""
    for name in ("body", "orelse", "finalbody"):
        yield from getattr(node, name, [])
    for handler in getattr(node, "handlers", []):
        yield from handler.body


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _imports(nodes: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports anywhere in these statements, also inside functions."""
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                yield inner


def _names_of(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Top-level packages that an import asks for; a relative one asks for the project."""
    if isinstance(node, ast.ImportFrom):
        return {"." if node.level else (node.module or "").split(".")[0]}
    return {alias.name.split(".")[0] for alias in node.names}


def _apart(node: ast.stmt) -> str:
    """The blank lines before a statement."""
    return "\n\n" if isinstance(node, Definition | ast.ClassDef) else ""


def _parameters(definition: Definition) -> Iterator[Parameter]:
    given = definition.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    for argument, default in zip(positional, defaults, strict=True):
        yield Parameter(argument.arg, default is not None, _literal(default))
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield Parameter(argument.arg, default is not None, _literal(default), keyword_only=True)


def _literal(node: ast.expr | None) -> object:
    """A plain default, None for everything else."""
    if node is None:
        return None
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return value if isinstance(value, int | float | str | bool) else None
