"""Reading and changing the defaults of a Config, and nothing but them."""

import pytest

from cairn.errors import BadInput
from cairn.variant_text import config_defaults, differs_only_in_config, with_defaults

TEXT = '''"""Doc."""
import dataclasses

@dataclasses.dataclass(frozen=True)
class Config:
    """ρ first, so that bytes and characters differ."""
    chunk: int = 64; name: str = "ρ"  # ρ: a comment
    fast: bool = True
    derived: int = 2 * 3

def run(x, *, config):
    return x
'''


def test_reads_plain_defaults() -> None:
    assert config_defaults(TEXT) == {"chunk": 64, "name": "ρ", "fast": True}


def test_changes_only_the_value() -> None:
    assert with_defaults(TEXT, {"chunk": 128}) == TEXT.replace("= 64;", "= 128;")
    assert with_defaults(TEXT, {"name": "σ", "chunk": 8}) == TEXT.replace("= 64;", "= 8;").replace('"ρ"', "'σ'")
    assert with_defaults(TEXT, {"chunk": 64}) == TEXT


def test_knows_a_sweep_from_a_rewrite() -> None:
    assert differs_only_in_config(TEXT, with_defaults(TEXT, {"chunk": 128, "fast": False}))
    assert not differs_only_in_config(TEXT, TEXT.replace("return x", "return x + 0"))
    assert not differs_only_in_config(TEXT, TEXT.replace("2 * 3", "2 * 4"))
    assert not differs_only_in_config(TEXT, "not python (")


@pytest.mark.parametrize(
    ("text", "values"),
    [(TEXT, {"absent": 1}), (TEXT, {"derived": 1}), ("x = 1\n", {"chunk": 1}), ("class Config(:\n", {"chunk": 1})],
)
def test_what_cannot_be_edited_is_said(text: str, values: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        with_defaults(text, values)
