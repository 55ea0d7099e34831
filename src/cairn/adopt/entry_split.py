"""Split a function that draws its own inputs into the drawing and the computing, by its text.

Functions of evaluators such as pallas-evolve take sizes, draw arrays from fixed keys and compute on them:

    def optimized_compute(M=1024, N=1024):          def optimized_compute(x):
        x = jax.random.normal(PRNGKey(0), (M, N))       M, N = x.shape[0], x.shape[1]
        return kernel(x, M)                     ->      return kernel(x, M)

A judge must own the drawing, so it moves; every other line of the file stays as it was.
"""

import ast
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.adopt.source import Definition, Module
from cairn.errors import BadInput

_DRAWS = re.compile(r"\b(jax\.random|random|jrandom|jr)\.(?!PRNGKey\b|key\b|split\b|fold_in\b)\w+\(|\brng\.\w+\(")
_KEYS = re.compile(r"\b(jax\.random|random|jrandom|jr)\.(PRNGKey|key|split|fold_in)\(|default_rng\(")
_DROPPED = re.compile(r"\b(value_and_grad|grad|vjp)\b")


@dataclass(frozen=True)
class Split:
    """A function in two parts.

    `sizes` are its parameters, `inputs` the names of the arrays that it drew, in order. `drawing` are the statements
    that draw, with what they read from; `moved` are those of them that the computing has no use for. `dropped` is the
    line on which gradients are computed and thrown away, None when there is none.
    """

    module: Module
    function: str
    sizes: tuple[str, ...]
    inputs: tuple[str, ...]
    drawing: tuple[ast.stmt, ...]
    moved: tuple[ast.stmt, ...]
    dropped: int | None

    def drawing_text(self) -> str:
        """The drawing as a module of its own: `draw(sizes)` gives the inputs."""
        body = textwrap.dedent("\n".join(self.module.text_of(node) for node in self.drawing))
        inner = textwrap.indent(f"{body}\nreturn ({', '.join(self.inputs)},)", "    ")
        header = f"def draw({', '.join(self.sizes)}):"
        return "\n".join(self.module.lines) + f"\n\n\n{header}\n{inner}\n"

    def computing_text(self, bound: Mapping[str, str]) -> str:
        """The whole file, with the function taking arrays; `bound` says how each size is known there."""
        given = self.module.function(self.function)
        lines = list(self.module.lines)
        first = _body(given)[0]
        gone = {n for node in self.moved for n in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
        indent = " " * first.col_offset
        kept = [line for number, line in enumerate(lines, start=1) if number not in gone]
        start = given.lineno - 1
        shift = sum(1 for number in gone if number < first.lineno)
        stop = min(first.lineno - shift, len(kept) + 1) - 1
        docstring = kept[given.body[0].lineno - 1 : given.body[0].end_lineno] if given.body[0] is not first else []
        binding = [f"{indent}{name} = {value}" for name, value in bound.items()]
        header = f"def {self.function}({', '.join(self.inputs)}):"
        return "\n".join([*kept[:start], header, *docstring, *binding, *kept[stop:]]) + "\n"


@dataclass(frozen=True)
class Offered:
    """A file that has two functions already: `make_inputs(sizes)` and `timed_compute(inputs)`."""

    module: Module
    function: str
    sizes: tuple[str, ...]
    inputs: tuple[str, ...]
    dropped: int | None = None

    def drawing_text(self) -> str:
        """The drawing as a module of its own: `draw(sizes)` gives the inputs."""
        names = ", ".join(self.sizes)
        return "\n".join(self.module.lines) + f"\n\n\ndef draw({names}):\n    return tuple(make_inputs({names}))\n"

    def computing_text(self, bound: Mapping[str, str]) -> str:
        """The file as it is: its function takes arrays."""
        del bound
        return "\n".join(self.module.lines) + "\n"


def parts_of(path: Path, functions: Sequence[str]) -> "Split | Offered":
    """The drawing and the computing of a file, whose entry is the first of `functions` that it has.

    Raises:
        BadInput: it has none of them, or the two cannot be told apart.
    """
    module = Module.read(path)
    names = {node.name for node in module.tree.body if isinstance(node, Definition)}
    if {"make_inputs", "timed_compute"} <= names:
        sizes, inputs = (
            tuple(argument.arg for argument in module.function(name).args.args)
            for name in ("make_inputs", "timed_compute")
        )
        return Offered(module, "timed_compute", sizes, inputs)
    entry = next((name for name in functions if name in names), None)
    if entry is None:
        raise BadInput(
            f"no function {' or '.join(functions)}", path=path, hint="an evaluator would not run it either"
        )
    return split(path, entry)


def split(path: Path, function: str) -> Split:
    """Find out what a function draws and what it computes.

    Raises:
        BadInput: no such function, or the drawing cannot be told from the computing; names the line.
    """
    module = Module.read(path)
    given = module.function(function)
    helpers = _drawing_helpers(module)
    body = _body(given)
    drawing = [node for node in body if _draws(module, node, helpers)]
    if not drawing:
        hint = "assign the inputs to names in the function, or offer make_inputs(sizes) and timed_compute(inputs)"
        raise BadInput(f"`{function}` draws no inputs that can be seen", path=path, line=given.lineno, hint=hint)
    for node in drawing:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            hint = "assign what is drawn to a name first"
            raise BadInput("inputs are drawn inside another statement", path=path, line=node.lineno, hint=hint)
    sizes = [argument.arg for argument in [*given.args.args, *given.args.kwonlyargs]]
    needed = _with_needs(body, drawing, set(sizes))
    moved = [node for node in needed if node in drawing or _is_key(module, node)]
    rest = [node for node in body if node not in moved]
    read = _reads(rest)
    return Split(
        module=module,
        function=function,
        sizes=tuple(sizes),
        inputs=tuple(dict.fromkeys(name for node in moved for name in _targets(node) if name in read)),
        drawing=tuple(needed),
        moved=tuple(moved),
        dropped=_dropped_gradients(module, rest),
    )


def bindings(
    parts: "Split | Offered", found: Mapping[str, tuple[int, int]], fixed: Mapping[str, int]
) -> dict[str, str]:
    """How each size that the computing reads is known: from an axis of an input, else as a number.

    `found[size]` is (input, axis).
    """
    if isinstance(parts, Offered):
        return {}
    given = parts.module.function(parts.function)
    read = _reads([node for node in _body(given) if node not in parts.moved])
    bound = {}
    for size in parts.sizes:
        if size in read and size in found:
            index, axis = found[size]
            bound[size] = f"{parts.inputs[index]}.shape[{axis}]"
        elif size in read and size in fixed:
            bound[size] = f"{fixed[size]}  # no axis of an input shows it"
    return bound


def _body(given: Definition) -> list[ast.stmt]:
    """The statements without the docstring."""
    return given.body[1:] if ast.get_docstring(given) is not None and len(given.body) > 1 else list(given.body)


def _drawing_helpers(module: Module) -> set[str]:
    """Functions of the module that draw, directly or through another."""
    functions = {node.name: module.text_of(node) for node in module.tree.body if isinstance(node, Definition)}
    helpers = {name for name, text in functions.items() if _DRAWS.search(text)}
    while True:
        more = {n for n, text in functions.items() if any(re.search(rf"\b{h}\(", text) for h in helpers)} - helpers
        if not more:
            return helpers
        helpers |= more


def _draws(module: Module, node: ast.stmt, helpers: set[str]) -> bool:
    if isinstance(node, Definition | ast.ClassDef):
        return False
    text = "\n".join(module.lines[node.lineno - 1 : node.end_lineno])
    called = {n.func.id for n in ast.walk(node) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    return bool(_DRAWS.search(text) or called & helpers)


def _is_key(module: Module, node: ast.stmt) -> bool:
    return bool(_KEYS.search("\n".join(module.lines[node.lineno - 1 : node.end_lineno])))


def _with_needs(body: Sequence[ast.stmt], drawing: Sequence[ast.stmt], known: set[str]) -> list[ast.stmt]:
    """The drawing statements and those before them that they read from, in order."""
    wanted = list(drawing)
    for node in reversed(body):
        needed = {n.id for each in wanted for n in ast.walk(each) if isinstance(n, ast.Name)} - known
        before = any(node.lineno < each.lineno for each in wanted)
        if node not in wanted and before and set(_targets(node)) & needed:
            wanted.append(node)
    return sorted(wanted, key=lambda node: node.lineno)


def _reads(nodes: Sequence[ast.stmt]) -> set[str]:
    names = (n for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Load)}


def _targets(node: ast.stmt) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [n.id for target in targets if target is not None for n in ast.walk(target) if isinstance(n, ast.Name)]


def _dropped_gradients(module: Module, rest: Sequence[ast.stmt]) -> int | None:
    """The line of `loss, _ = value_and_grad(...)(...)`: what nobody reads, the compiler drops with all its work."""
    read = _reads(rest)
    for node in rest:
        text = "\n".join(module.lines[node.lineno - 1 : node.end_lineno])
        if isinstance(node, ast.Assign) and _DROPPED.search(text) and set(_targets(node)) - read:
            return node.lineno
    return None
