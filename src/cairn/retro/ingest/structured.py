"""Facts in YAML, JSON and TOML, as files, front matter or fenced blocks of a report."""

import re
from collections.abc import Iterable, Iterator

import yaml

from cairn.retro.facts import Fact, Place
from cairn.retro.ingest.json_text import Leaf, leaves
from cairn.retro.ingest.lines import fact_of
from cairn.retro.sections import plain_text
from cairn.text.numbers import plain, quantities
from cairn.text.units import unit_of_name

_MAX_YAML = 2_000_000
_LONGEST_TOML = 4000
_DEEPEST = 100
_BRACKETS = re.compile(r"[\[\]{}]")
_DEEP_LINE = re.compile(rf"(?m)^[ \t?:-]{{{3 * _DEEPEST}}}")
_IDENTITY = re.compile(
    r"(?:.*[_ .-])?(?:id|ids|uuid|hash|sha|sha256|sha1|commit|version|timestamp|time_?stamp|_timestamp|created(?:_at)?"
    r"|updated(?:_at)?|date|started|ended|started_at|ended_at|start_time|end_time|time_unix|unix_time|port|pid"
    r"|schema(?:_version)?|path|file|url|line|python|jax|jaxlib|libtpu|torch|cuda|driver|epoch_time|revision"
    r"|format_version|protocol|nonce|seqno|checksum|digest|_step_id|parent|previous)",
    re.I,
)
_TITLE = re.compile(r"title|name|subject|author|tags?|labels?", re.I)
_RUN_KEYS = ("run", "run_name", "run_id", "name", "variant", "variant_id", "experiment", "config_name", "label", "id",
             "model", "kernel", "method", "config", "commit")  # fmt: skip
_STEP_KEYS = ("step", "_step", "global_step", "iteration", "iter", "epoch")
_PARAMETER_SECTIONS = re.compile(
    r"(?:hyper-?)?param(?:eter)?s?|config(?:uration)?|settings?|args|arguments|hparams|training|model|lora|options",
    re.I,
)
_TOML_LINE = re.compile(r"\s*(?:\[+([^\]]+)\]+|([\w.\"'-]+)\s*=\s*(.+?))\s*(?:#.*)?$")


def facts_of_json(text: str, place: Place, first_line: int = 1, shape: str = "json") -> list[Fact]:
    """Facts of a JSON text; objects in lists and on lines of their own are runs, or steps where they say so."""
    return list(_facts_of_leaves(leaves(text, first_line), place, shape))


def facts_of_yaml(text: str, place: Place, first_line: int = 1, shape: str = "yaml") -> list[Fact] | None:
    """Facts of a YAML text; None when it is none, so that the caller can read it as plain lines."""
    if len(text) > _MAX_YAML or "\0" in text or _is_deep(text):
        return None
    found: list[Leaf] = []
    try:
        for document in yaml.compose_all(text, Loader=_LOADER):
            found += _yaml_leaves(document, first_line)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return list(_facts_of_leaves(found, place, shape))


def facts_of_toml(lines: list[str], place: Place, first_line: int = 1, shape: str = "toml") -> list[Fact]:
    """Facts of `key = value` lines below `[section]` lines, read line by line so that nothing can fail."""
    found: list[Leaf] = []
    section: tuple[str, ...] = ()
    for number, line in enumerate(lines, first_line):
        if len(line) < _LONGEST_TOML and (match := _TOML_LINE.fullmatch(line)):
            if match[1]:
                section = tuple(match[1].split("."))
            else:
                found.append(_yaml_leaf((*section, match[2].strip("\"'")), match[3].strip(), number))
    return list(_facts_of_leaves(found, place, shape))


def _is_deep(text: str) -> bool:
    """Whether a YAML text may nest so deep that the C parser overflows its stack, which kills the process."""
    opened = most = 0
    for bracket in _BRACKETS.findall(text):
        opened += 1 if bracket in "[{" else -1
        most = max(most, opened)
    return most > _DEEPEST or bool(_DEEP_LINE.search(text))


_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _yaml_leaves(node: yaml.Node | None, first_line: int) -> Iterator[Leaf]:
    """Every scalar of a YAML document; an anchor that is used again is read once, so that nothing can explode."""
    waiting: list[tuple[tuple[str, ...], yaml.Node]] = [((), node)] if node else []
    seen: set[int] = set()
    while waiting:
        path, each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, yaml.MappingNode):
            for key, value in reversed(each.value):
                waiting.append(((*path, str(key.value) if isinstance(key, yaml.ScalarNode) else "?"), value))
        elif isinstance(each, yaml.SequenceNode):
            waiting += [((*path, f"[{at}]"), value) for at, value in reversed(list(enumerate(each.value)))]
        elif isinstance(each, yaml.ScalarNode):
            yield _yaml_leaf(path, each.value, each.start_mark.line + first_line)


def _yaml_leaf(path: tuple[str, ...], raw: str, line: int) -> Leaf:
    quantity = plain(raw)
    value = quantity.value if quantity and quantity.unit is None else raw
    return Leaf(path, raw, value, line)


def _facts_of_leaves(found: Iterable[Leaf], place: Place, shape: str) -> Iterator[Fact]:
    """Name each value by its keys; the run is what its own object says it is, else the keys above it."""
    found = list(found)
    own: dict[tuple[str, ...], dict[str, Leaf]] = {}
    objects = _objects(found)
    for leaf, parent in zip(found, objects, strict=True):
        if leaf.path:
            own.setdefault(parent, {}).setdefault(leaf.path[-1], leaf)
    repeated = _repeated_keys(found)
    for leaf, parent in zip(found, objects, strict=True):
        yield from _leaf_facts(leaf, own.get(parent, {}), _run_above(leaf.path, repeated), place, shape)


def _repeated_keys(found: list[Leaf]) -> set[tuple[str, ...]]:
    """Paths, with `*` for one key, that stand below several keys: those name runs (`runs.a.loss`, `runs.b.loss`)."""
    names: dict[tuple[str, ...], set[str]] = {}
    for path in {leaf.path for leaf in found}:
        for at in range(len(path) - 1):
            names.setdefault((*path[:at], "*", *path[at + 1 :]), set()).add(path[at])
    return {pattern for pattern, keys in names.items() if len(keys) > 1}


def _run_above(path: tuple[str, ...], repeated: set[tuple[str, ...]]) -> str:
    names = [path[at] for at in range(len(path) - 1) if (*path[:at], "*", *path[at + 1 :]) in repeated]
    return ".".join(names).replace(".[", "[")


def _objects(found: list[Leaf]) -> list[tuple[str, ...]]:
    """The object that each value stands in; several objects one after the other (JSON lines) are kept apart."""
    keys, number, seen = [], 0, set[tuple[str, ...]]()
    for leaf in found:
        if leaf.path in seen:
            number, seen = number + 1, set()
        seen.add(leaf.path)
        keys.append((str(number), *leaf.path[:-1]))
    return keys


def _leaf_facts(leaf: Leaf, siblings: dict[str, Leaf], above: str, place: Place, shape: str) -> Iterator[Fact]:
    key = _key(leaf.path)
    if isinstance(leaf.value, bool) or leaf.value is None or _IDENTITY.fullmatch(key):
        return
    where = Place(
        place.path,
        _named_run(leaf, siblings) or above or place.run,
        _group(leaf.path) or place.group,
        _section(leaf, place),
    )
    step = next((each.value for name in _STEP_KEYS if (each := siblings.get(name)) and each is not leaf), None)
    step = step if isinstance(step, float) else None
    unit = unit_of_name(key)
    if isinstance(leaf.value, float):
        stated = unit.name if unit else None
        yield Fact(place.path, leaf.line, leaf.raw, leaf.value, stated, key, where.run, where.group,
                   where.section, shape, step)  # fmt: skip
        return
    text = leaf.value
    in_words = quantities(text) if len(text) < 400 and not _TITLE.fullmatch(key) else []
    if quantity := plain(text):
        in_words = [quantity]
    for found in in_words:
        yield fact_of(found, leaf.line, where, key, shape)
    if not in_words and 0 < len(text) <= 80 and "\n" not in text:
        yield Fact(
            place.path, leaf.line, text, None, None, key, where.run, where.group, where.section, shape, step
        )


def _key(path: tuple[str, ...]) -> str:
    """The last key that is no index, with the one before it where it says too little."""
    names = [each for each in path if each[:1] != "["]
    if not names:
        return ""
    if len(names) > 1 and names[-1].casefold() in (
        "value",
        "mean",
        "median",
        "min",
        "max",
        "std",
        "avg",
        "p50",
        "p90",
        "p95",
        "p99",
        "total",
        "final",
        "best",
        "last",
    ):
        return plain_text(f"{names[-2]} {names[-1]}")
    return plain_text(names[-1])


def _named_run(leaf: Leaf, siblings: dict[str, Leaf]) -> str:
    for name in _RUN_KEYS:
        each = siblings.get(name)
        if each and each is not leaf and isinstance(each.value, str) and each.value:
            return each.value
    return ""


def _group(path: tuple[str, ...]) -> str:
    return ".".join(each for each in path[:-1] if each[:1] != "[")


def _section(leaf: Leaf, place: Place) -> str:
    named = any(_PARAMETER_SECTIONS.fullmatch(each) for each in leaf.path[:-1])
    return "parameters" if named else place.section
