"""A pattern for any of many words that shares their beginnings: tried once per letter, not once per word.

Python's `re` tries the branches of an alternation one after the other, which for three hundred units costs more than
everything else that is done with a number.
"""

import re
from collections.abc import Iterable

_Tree = dict[str, "_Tree"]
_END = ""


def one_of(words: Iterable[str]) -> str:
    """A pattern that matches exactly these words, the longest first; a group, so that it can be followed by more."""
    tree: _Tree = {}
    for word in words:
        node = tree
        for letter in word:
            node = node.setdefault(letter, {})
        node[_END] = {}
    return _pattern(tree)


def _pattern(tree: _Tree) -> str:
    branches = [re.escape(letter) + _pattern(rest) for letter, rest in sorted(tree.items()) if letter != _END]
    if not branches:
        return ""
    group = f"(?:{'|'.join(branches)})"
    return f"{group}?" if _END in tree else group
