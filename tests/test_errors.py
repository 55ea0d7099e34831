"""Each error knows its exit code, and the tree in the docstring is the tree in the code."""

import re

import cairn.errors
from cairn.errors import BadInput, CairnError


def subclasses(kind: type) -> set[type]:
    return {kind, *(found for child in kind.__subclasses__() for found in subclasses(child))}


def test_the_drawn_tree_is_complete() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+)\s+(\d+)", cairn.errors.__doc__ or ""))
    real = {kind.__name__: str(kind.exit_code) for kind in subclasses(CairnError) - {CairnError}}
    assert drawn == real
    assert set(real.values()) == {"2", "65", "69", "75"}


def test_bad_input_names_the_place() -> None:
    error = BadInput("is wrong", path="a.yaml", line=3, key="x.y", hint="mend it")
    assert str(error) == "a.yaml:3: x.y: is wrong"
    assert error.hint == "mend it"
