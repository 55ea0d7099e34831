"""What is looked at: a function of the user's with its arguments, or a program that was exported elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cairn.errors import Missing
from cairn.lab.lowering import Request
from cairn.lab.stored import Given
from cairn.lab.user_files import UserFunction


@dataclass(frozen=True)
class Subject:
    """A kernel to be compiled. Exactly one of `function` and `program` is there.

    Attributes:
        name: how it is called in what is printed.
        function: the function and its files.
        request: how it is called.
        program: a serialised `jax.export`.
        given: integer inputs to be taken as known when it is priced.
    """

    name: str
    function: UserFunction | None = None
    request: Request = field(default_factory=Request)
    program: bytes | None = None
    given: tuple[Given, ...] = ()

    def with_settings(self, settings: Mapping[str, Any]) -> "Subject":
        """The same subject with these settings over its own; its name says which."""
        words = " ".join(f"{name}={value}" for name, value in settings.items())
        request = replace(self.request, settings={**self.request.settings, **settings})
        return replace(self, request=request, name=f"{self.name} {words}" if words else self.name)


def exported(path: Path) -> Subject:
    """A program from a file that `jax.export` wrote.

    Raises:
        Missing: there is no such file.
    """
    if not path.is_file():
        raise Missing(f"no file {path}", hint="name a problem's folder, FILE.py:FUNCTION, or an exported program")
    return Subject(path.name, program=path.read_bytes())
