"""A variant's source as text: read the defaults of its `Config`, and change them without touching anything else.

The file is never imported here; only its syntax is looked at.
"""

import ast
import threading
from collections.abc import Mapping
from typing import Any

from cairn.errors import BadInput

# two threads that parse at once can make Python 3.11 raise SystemError: it counts the depth of both in one place
_parsing = threading.Lock()


def config_defaults(text: str, path: str = "variant") -> dict[str, Any]:
    """Fields of `Config` whose defaults are plain literals, in order.

    Raises:
        BadInput: the file does not parse, or has no class `Config`.
    """
    return {name: ast.literal_eval(value) for name, value in _fields(text, path).items() if _is_literal(value)}


def with_defaults(text: str, values: Mapping[str, Any], path: str = "variant") -> str:
    """The same source with other defaults; every other character stays as it is.

    Raises:
        BadInput: a field does not exist or has no plain default.
    """
    fields = _fields(text, path)
    edits = []
    for name, value in values.items():
        node = fields.get(name)
        if node is None or not _is_literal(node):
            raise BadInput(
                f"Config has no field `{name}` with a plain default", path=path, hint="see its problem.yaml"
            )
        if ast.literal_eval(node) != value:
            edits.append((node.lineno, node.col_offset, node.end_col_offset, repr(value), node))
    lines = text.splitlines(keepends=True)
    for line, start, end, replacement, node in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        if node.end_lineno != line:
            raise BadInput("a default that spans lines cannot be edited", path=path, line=line)
        raw = lines[line - 1].encode()  # ast counts columns in bytes
        lines[line - 1] = (raw[:start] + replacement.encode() + raw[end:]).decode()
    return "".join(lines)


def differs_only_in_config(one: str, other: str) -> bool:
    """Whether two sources are the same program but for literal defaults of `Config`."""
    try:
        return _without_defaults(one) == _without_defaults(other)
    except (BadInput, RecursionError, ValueError):  # too deep to follow, or a number too long to print
        return False


def _without_defaults(text: str) -> str:
    tree = _parse(text, "variant")
    for node in _config_class(tree, "variant").body:
        if isinstance(node, ast.AnnAssign) and node.value is not None and _is_literal(node.value):
            node.value = ast.Constant(None)
    return ast.dump(tree)


def _fields(text: str, path: str) -> dict[str, ast.expr]:
    return {
        node.target.id: node.value
        for node in _config_class(_parse(text, path), path).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None
    }


def syntax_of(text: str | bytes) -> ast.Module:
    """Parse Python in any thread.

    Raises:
        As `ast.parse`.
    """
    with _parsing:
        return ast.parse(text)


def _parse(text: str, path: str) -> ast.Module:
    try:
        return syntax_of(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise BadInput(f"not valid Python: {getattr(error, 'msg', error)}", path=path, line=line) from error


def _config_class(tree: ast.Module, path: str) -> ast.ClassDef:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "Config":
            return node
    raise BadInput("there is no class `Config`", path=path, hint="a variant defines a frozen dataclass Config")


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True
