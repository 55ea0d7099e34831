"""`FIELD=VALUE` pairs of a command line."""

import ast
from collections.abc import Sequence
from typing import Any

from cairn.errors import UsageError


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`FIELD=VALUE` pairs; values are Python literals, or text when they are none.

    Raises:
        UsageError: a pair without `=`.
    """
    config: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"`--set {setting}` is not FIELD=VALUE", hint="for example: --set chunk=128")
        try:
            config[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            config[name] = value
    return config


def parse_space(settings: Sequence[str]) -> dict[str, list[Any]]:
    """`FIELD=VALUE,VALUE,...` pairs: the choices of each field; a tuple or list as one choice stands in brackets.

    Raises:
        UsageError: a pair without `=`, or a field without a choice.
    """
    space: dict[str, list[Any]] = {}
    for name, text in ((setting.partition("=")[0], setting.partition("=")[2]) for setting in settings):
        whole = parse_settings([f"{name}={text},"])[name] if text else ()
        choices = list(whole) if isinstance(whole, tuple) else [part.strip() for part in text.split(",")]
        if not choices or not name.isidentifier():
            raise UsageError(
                f"`{name}={text}` is not FIELD=VALUE,VALUE,...", hint="for example: block=128,256,512"
            )
        space[name] = choices
    return space
