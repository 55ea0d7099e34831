"""When two edits are the same try: their syntax without comments, docstrings, layout and the names of locals."""

import ast
import hashlib

from cairn.variant_text import syntax_of


def likeness_of(text: bytes) -> tuple[str, int | None]:
    """A hash that near-duplicates share, and the number of syntax nodes; text that does not parse has only a hash."""
    try:
        tree = syntax_of(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return hashlib.sha256(text).hexdigest()[:32], None
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _number_locals(node)
    try:
        dumped = ast.dump(tree)
    except (RecursionError, ValueError):  # a number too long to print
        return hashlib.sha256(text).hexdigest()[:32], None
    return hashlib.sha256(dumped.encode("utf-8", "backslashreplace")).hexdigest()[:32], sum(
        1 for _ in ast.walk(tree)
    )


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        node.body = node.body[1:]


def _number_locals(function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Give the names that a function assigns itself numbers in order; arguments keep theirs, callers may use them."""
    nodes = list(ast.walk(function))
    outer = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    numbers: dict[str, str] = {}
    for node in nodes:
        # a name with # was numbered by an enclosing function already
        if (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Store)
            and not (node.id in outer or node.id.startswith("#"))
        ):
            numbers.setdefault(node.id, f"#{len(numbers)}")
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in numbers:
            node.id = numbers[node.id]
