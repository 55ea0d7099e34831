"""Arguments of a function as text: `bf16[4096,4096], bf16[4096,4096]`, and what else people write.

Arrays: `bf16[8,128]` and `bfloat16[8,128]` as jax prints them, `8x128xbf16`, `8x128:bf16`, `(8,128):bf16`,
`((8,128), bf16)`, `(8,128)` with a default type, `ShapeDtypeStruct(shape=(8, 128), dtype=bfloat16)`. `f32[8]*3` is
three of them. With values, an array is a constant of the program: `i32[4]=[3,1,0,4]`, `i32[8]=512` (all alike),
`i32[8]=arange`, `i32[8]=@counts.json`. Other arguments: `None`, numbers, `true`, `false`, quoted text.
`q=bf16[8,128]` and `q: bf16[8,128]` pass by name, `dtype=bf16` a type; brackets inside make a tuple or a list.
Separators are commas, semicolons and spaces. Or JSON: a list of the above as strings, of `[dims, dtype]` pairs, of
`{"shape", "dtype", "values"}` objects, of lists of those; an object passes by name. Or `@FILE`.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any

from cairn.errors import BadInput, Missing, UsageError
from cairn.lab.element_types import TYPES, dtype_of

Node = dict[str, Any]
Call = dict[str, Any]

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_FROM = r"(?:(?:jnp|np|jax\.numpy|numpy|ml_dtypes)\.)?"
_DIMS = r"[\d,\s_]*"
_STRUCT = re.compile(
    rf"(?:jax\.|jnp\.|np\.|jax\.numpy\.)?(?:ShapeDtypeStruct|ShapedArray|zeros|ones|empty)\(\s*(?:shape\s*=\s*)?[(\[](?P<dims>{_DIMS})[)\]]\s*,\s*(?:dtype\s*=\s*)?"
    rf"""(?:["']|\w+\.|dtype\(["']?)?(?P<dtype>{_WORD})["']?\)?(?:,[^()]*)?\)"""
)
_FORMS = (
    re.compile(rf"{_FROM}(?P<dtype>{_WORD}):?\s*\[(?P<dims>{_DIMS})\](?:\{{[^}}]*\}})?"),
    re.compile(rf"[(\[](?P<dims>{_DIMS})[)\]]\s*[:@]?\s*{_FROM}(?P<dtype>(?!x\d){_WORD}\b)(?![\[(])"),
    re.compile(rf"(?P<dtype>{_WORD})[:@\s]\s*(?P<dims>\d+(?:x\d+)*)"),
    re.compile(rf"(?P<dims>\d+(?:x\d+)*)(?:x|:|@)?{_FROM}(?P<dtype>{_WORD})"),
    re.compile(rf"{_FROM}(?P<dtype>{_WORD}):?\s*\((?P<dims>{_DIMS})\)"),
    re.compile(rf"tensor<(?:(?P<dims>\d+(?:x\d+)*)x)?(?P<dtype>{_WORD})>"),
)
_TYPE = re.compile(rf"{_FROM}(?P<dtype>{_WORD})\b")
_TIMES = re.compile(r"\s*\*\s*(?P<count>\d{1,3})\b")
_BARE = re.compile(rf"[(\[](?P<dims>\d{_DIMS})[)\]]|(?P<crossed>\d+(?:x\d+)+)")
_NAME = re.compile(rf"(?P<name>{_WORD})\s*(?P<sign>[=:])(?!=)\s*")
_SCALAR = re.compile(r"""[-+]?\d[\w.+-]*|"[^"]*"|'[^']*'|None|null|true|false|True|False""")
_LISTS = str.maketrans("{}()", "[][]")
_LITERALS = {"null": None, "true": True, "false": False}
_SEPARATORS = " \t\r\n,;"


def parse_call(texts: tuple[str, ...], dtype: str | None = None) -> Call:
    """Positional and named arguments; several texts are one after the other.

    Args:
        texts: what stood behind each `--shapes`.
        dtype: type of arrays that name none.

    Raises:
        UsageError: a text is not understood; says where.
        Missing: a named file is not there.
        BadInput: a named file is not what it should be.
    """
    default = None if dtype is None else dtype_of(dtype, dtype)
    call: Call = {"positional": [], "keyword": {}}
    for text in texts:
        content = _file(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
        data = _json(content)
        part = (
            _from_json(data, default)
            if isinstance(data, list | dict)
            else _ungrouped(_Reader(content, default).call())
        )
        call["positional"] += part["positional"]
        call["keyword"] |= part["keyword"]
    if not any(map(_has_array, [*call["positional"], *call["keyword"].values()])):
        raise UsageError(
            f"no array in `{' '.join(texts)[:80]}`",
            hint="an array has a type: bf16[4096,4096]; or add --dtype bf16 for arrays that name none",
        )
    return call


def value_node(value: Any) -> Node:
    """A Python value as a node, tuples and lists told apart: a configuration must stay hashable."""
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {"kind": kind, "items": [value_node(item) for item in value]}
    if isinstance(value, dict):
        return {"kind": "dict", "items": {str(name): value_node(item) for name, item in value.items()}}
    return {"kind": "value", "value": value}


def _ungrouped(call: Call) -> Call:
    """`(a, b)` alone means the arguments a and b; one argument that is a tuple is `((a, b))`."""
    nodes = call["positional"]
    is_group = len(nodes) == 1 and not call["keyword"] and nodes[0]["kind"] in ("tuple", "list")
    return {"positional": list(nodes[0]["items"]), "keyword": {}} if is_group else call


def _has_array(node: Node) -> bool:
    inner = node.get("items", ())
    inner = inner.values() if isinstance(inner, dict) else inner
    return node["kind"] in ("array", "constant") or any(map(_has_array, inner))


class _Reader:
    """Reads one text from left to right."""

    def __init__(self, text: str, default: str | None) -> None:
        self._text = text
        self._default = default
        self._at = 0

    def call(self) -> Call:
        positional: list[Node] = []
        keyword: dict[str, Node] = {}
        self._skip()
        while self._at < len(self._text):
            named = _NAME.match(self._text, self._at)
            if named and not (named["sign"] == ":" and named["name"] in TYPES):
                self._at = named.end()
                keyword[named["name"]] = _plain(self._argument())
            else:
                positional += self._several()
            self._skip()
        positional = _typed(positional)
        if any(node["kind"] == "type" for node in positional):
            self._at = len(self._text)
            raise self._error("a type has no shape; f32[] is one number")
        return {"positional": positional, "keyword": keyword}

    def _several(self) -> list[Node]:
        """One argument, or as many as a `*3` behind it says."""
        node = self._argument()
        times = _TIMES.match(self._text, self._at)
        if not times:
            return [node]
        self._at = times.end()
        return [node] * int(times["count"])

    def _argument(self) -> Node:
        node = self._array()
        if node is not None:
            return self._with_values(node)
        if self._text[self._at : self._at + 1] in ("(", "["):
            return self._group()
        scalar = _SCALAR.match(self._text, self._at)
        if scalar:
            self._at = scalar.end()
            return {"kind": "value", "value": _scalar(scalar[0], self._text)}
        word = _TYPE.match(self._text, self._at)
        if word and word["dtype"] in TYPES:
            self._at = word.end()
            if self._text.startswith(("[", "(", "<"), self._at):
                raise self._error(f"the shape behind {word[0]} is not understood")
            return {"kind": "type", "value": TYPES[word["dtype"]]}
        raise self._error("not understood")

    def _array(self) -> Node | None:
        for form in (_STRUCT, *_FORMS):
            match = form.match(self._text, self._at)
            if match and (match["dtype"] in TYPES or form in (_STRUCT, _FORMS[0])):
                self._at = match.end()
                return _array_node(_dims(match["dims"] or ""), dtype_of(match["dtype"], self._text))
        bare = _BARE.match(self._text, self._at)
        if bare and (self._default or bare["crossed"]):
            self._at = bare.end()
            sizes = _dims(bare["dims"] or bare["crossed"])
            return _array_node(sizes, self._default) if self._default else _group_node(sizes)
        return None

    def _with_values(self, node: Node) -> Node:
        if not self._text.startswith("=", self._at):
            return node
        self._at += 1
        rest = self._text[self._at :]
        file = re.match(r"@[^\s,;()]+", rest)
        word = re.match(r"arange|zeros|ones", rest)
        listed = re.match(r"[\[{(]", rest)
        number = re.match(r"[-+]?\d[\d.eE+-]*|true|false", rest)
        if file:
            values, length = _values_file(_file(file[0][1:])), file.end()
        elif word:
            values, length = {"zeros": 0, "ones": 1}.get(word[0], word[0]), word.end()
        elif listed:
            length = _closing(rest, self._text)
            values = _literal(rest[:length].translate(_LISTS), self._text)
        elif number:
            values, length = _scalar(number[0], self._text), number.end()
        else:
            raise self._error("values are a number, [a,list], arange or @FILE")
        self._at += length
        return _constant_node(node, values, self._text)

    def _group(self) -> Node:
        opening = self._text[self._at]
        self._at += 1
        items = []
        self._skip()
        while not self._text.startswith(")" if opening == "(" else "]", self._at):
            if self._at >= len(self._text):
                raise self._error(f"`{opening}` is not closed")
            items += self._several()
            self._skip()
        self._at += 1
        pair = _typed(items, quoted=True)
        if len(pair) == 1 and len(items) > 1:
            return pair[0]
        return {"kind": "tuple" if opening == "(" else "list", "items": [_plain(item) for item in _typed(items)]}

    def _skip(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SEPARATORS:
            self._at += 1

    def _error(self, what: str) -> UsageError:
        rest = self._text[self._at : self._at + 40] or "the end"
        return UsageError(
            f"shapes: {what} at `{rest}`", hint="for example: --shapes 'bf16[4096,4096], bf16[4096,4096]'"
        )


def _typed(nodes: list[Node], *, quoted: bool = False) -> list[Node]:
    """Sizes with a type behind them made one array: `(8,128), f32`; with `quoted` `8, 128, 'f32'` as well."""
    found: list[Node] = []
    for node in nodes:
        is_type = node["kind"] == "type" or (quoted and node["kind"] == "value" and node["value"] in _NAMES)
        sizes = _sizes(found[-1]) if is_type and found else None
        if is_type and quoted and sizes is None:
            sizes = _sizes({"kind": "tuple", "items": found})
            found = found[-1:] if sizes is not None else found
        if sizes is None:
            found.append(node)
        else:
            found[-1] = _array_node(sizes, TYPES[node["value"]])
    return found


class _Names:
    """Whether something is the name of a type, whatever it is."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and value in TYPES


_NAMES = _Names()


def _sizes(node: Node) -> list[int] | None:
    """The whole numbers of a group, None when it is something else."""
    items = node.get("items") if node["kind"] in ("tuple", "list") else None
    if not items or not all(item["kind"] == "value" and type(item["value"]) is int for item in items):
        return None
    return [item["value"] for item in items]


def _plain(node: Node) -> Node:
    """A type that is passed on is the text of its name."""
    return {**node, "kind": "value"} if node["kind"] == "type" else node


def _group_node(sizes: list[int]) -> Node:
    return {"kind": "tuple", "items": [{"kind": "value", "value": size} for size in sizes]}


def _array_node(shape: list[int], dtype: str) -> Node:
    return {"kind": "array", "shape": shape, "dtype": dtype}


def _constant_node(node: Node, values: Any, text: str) -> Node:
    """An array with values; their number must fit, or be one.

    Raises:
        UsageError: it does not.
    """
    elements, flat = 1, _flattened(values)
    for size in node["shape"]:
        elements *= size
    if values != "arange" and isinstance(values, list) and len(flat) != elements:
        raise UsageError(
            f"{len(flat)} values for {elements} elements, in `{text[:80]}`", hint="list all, or give one"
        )
    return {**node, "kind": "constant", "values": flat if isinstance(values, list) else values}


def _flattened(values: Any) -> list[Any]:
    return [leaf for item in values for leaf in _flattened(item)] if isinstance(values, list) else [values]


def _dims(text: str) -> list[int]:
    return [int(dim.replace("_", "")) for dim in re.split(r"[,\sx]+", text.strip()) if dim]


def _scalar(word: str, text: str) -> Any:
    return _LITERALS[word] if word in _LITERALS else _literal(word, text)


def _literal(word: str, text: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise UsageError(
            f"`{word[:40]}` is no value, in `{text[:80]}`", hint="numbers, or a list of them"
        ) from error


def _closing(rest: str, text: str) -> int:
    """Length of the bracketed list at the start."""
    depth = 0
    for index, character in enumerate(rest):
        depth += (character in "[{(") - (character in "]})")
        if depth == 0:
            return index + 1
    raise UsageError(f"a list of values is not closed, in `{text[:80]}`", hint="for example: i32[4]=[3,1,0,4]")


def _file(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise Missing(f"no file {path}", hint="`@` names a file with shapes, or with the values of an array")
    return path


def _values_file(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"not JSON: {error}", path=path, hint="a number or a list of numbers") from error


def _json(text: str) -> Any:
    """The text as JSON, None when it is something else: `[8,128]` with a default type is a shape, for example."""
    try:
        data = json.loads(text)
    except ValueError:
        data = _literal(text.strip(), text) if text.lstrip().startswith(("{'", "[{'")) else None
    plain_dims = isinstance(data, list) and data and all(isinstance(item, int | float) for item in data)
    return None if plain_dims else data


def _from_json(data: Any, default: str | None) -> Call:
    if isinstance(data, dict) and not data.keys() & {"shape", "args", "kwargs"}:
        return {"positional": [], "keyword": {name: _json_node(item, default) for name, item in data.items()}}
    if isinstance(data, dict) and "shape" not in data:
        positional = [_json_node(item, default) for item in data.get("args", [])]
        keyword = {name: _json_node(item, default) for name, item in data.get("kwargs", {}).items()}
        return {"positional": positional, "keyword": keyword}
    items = data if isinstance(data, list) and not _is_pair(data) else [data]
    return {"positional": [_json_node(item, default) for item in items], "keyword": {}}


def _json_node(item: Any, default: str | None) -> Node:
    if isinstance(item, str):
        part = _Reader(item, default).call()
        if len(part["positional"]) == 1 and not part["keyword"]:
            return dict(part["positional"][0])
        raise UsageError(
            f"shapes: `{item[:60]}` is not one argument", hint='for example: ["bf16[8,128]", "f32[8]"]'
        )
    if isinstance(item, dict) and "shape" in item:
        node = _array_node(
            [int(dim) for dim in item["shape"]], dtype_of(str(item.get("dtype", default)), str(item))
        )
        values = item.get("values", item.get("value"))
        return node if values is None else _constant_node(node, values, str(item))
    if isinstance(item, dict):
        return {"kind": "dict", "items": {name: _json_node(inner, default) for name, inner in item.items()}}
    if isinstance(item, list) and _is_pair(item):
        dims, dtype = (item[0], item[1]) if isinstance(item[1], str) else (item[1], item[0])
        return _array_node([int(dim) for dim in dims], dtype_of(dtype, str(item)))
    if isinstance(item, list) and default and item and all(isinstance(dim, int) for dim in item):
        return _array_node(item, default)
    if isinstance(item, list):
        return {"kind": "list", "items": [_json_node(inner, default) for inner in item]}
    return {"kind": "value", "value": item}


def _is_pair(item: list[Any]) -> bool:
    """`[[8, 128], "bf16"]` or `["bf16", [8, 128]]`."""
    if len(item) != 2 or {type(part) for part in item} != {list, str}:
        return False
    dims, word = (item[0], item[1]) if isinstance(item[1], str) else (item[1], item[0])
    return word in TYPES and all(isinstance(dim, int) for dim in dims)
