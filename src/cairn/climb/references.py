"""Where the prompts and directives are: Markdown files of the skill `hill-climb`, shipped inside the package too."""

from pathlib import Path

from cairn.errors import Missing

_INSTALLED = Path(__file__).with_name("references")
_BESIDE = Path(__file__).parents[3] / "skills" / "hill-climb" / "references"


def reference_names(prefix: str) -> list[str]:
    """Names of the files that begin with `prefix`, without it and without the ending."""
    return sorted(path.stem.removeprefix(prefix) for path in _folder().glob(f"{prefix}*.md"))


def read_reference(name: str) -> str:
    """The text of one file.

    Raises:
        Missing: it is not there.
    """
    path = _folder() / f"{name}.md"
    if not path.is_file():
        raise Missing(f"{path} is not there", hint="install the whole plugin or package again")
    return path.read_text(encoding="utf-8")


def _folder() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _BESIDE
