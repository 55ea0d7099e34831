"""Directives: further instructions for every attempt of a launch, given as text, as files, or by a preset's name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.climb.references import read_reference, reference_names
from cairn.errors import BadInput, Missing, UsageError
from cairn.settings import did_you_mean

_PREFIX = "directive-"
_MOST_BYTES = 64 * 1024

# names of presets of `gdnctl` that mean the same as one of ours, and what is said when one is used
ALIASES = {
    "tpu-layout-and-dtypes": ("layout-and-dtypes", "the same subject"),
    "emit-pipeline-fullseq": ("pipelining", "emit_pipeline is one of its ways"),
    "macro-coverage-pivot": ("macro-coverage", "the same subject"),
    "ejkernel-recompute-backward": ("backward-recompute", "the same subject"),
    "remainder-attribution-mainline": ("remainder-attribution", "the same subject"),
    "ce-backend-priority": ("remainder-attribution", "a climb edits one kernel, and no other operation's backend"),
    "model-boundary-sweep": ("remainder-attribution", "a climb has no model around its kernel to sweep over"),
    "decoder-layer-shell-mainline": ("remainder-attribution", "a climb has no decoder layer around its kernel"),
    "whole-layer-boundary-prototype": ("fusion", "the largest boundary here is that of the problem"),
}


@dataclass(frozen=True)
class Directive:
    """One instruction: its title and its Markdown, without the heading."""

    title: str
    text: str


def preset_names() -> list[str]:
    """Every preset, aliases aside."""
    return reference_names(_PREFIX)


def load_directives(
    texts: Sequence[str],
    files: Sequence[Path],
    presets: Sequence[str],
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Directive, ...]:
    """Gather directives: presets first, then files, then texts, each in the order given; a repeated one once.

    Args:
        say: told which preset an alias stands for.

    Raises:
        UsageError: no such preset, or an empty text.
        Missing, BadInput: a file that is not there, is empty, is not text or is larger than 64 KiB.
    """
    found = [_preset(name, say) for name in presets]
    found += [_file(path) for path in files]
    found += [_text(text, number) for number, text in enumerate(texts, start=1)]
    return tuple(dict.fromkeys(found))


def _preset(name: str, say: Callable[[str], None]) -> Directive:
    if name in ALIASES:
        ours, why = ALIASES[name]
        say(f"note: preset `{name}` is `{ours}` here: {why}")
        name = ours
    if name not in preset_names():
        hint = did_you_mean(name, preset_names()) or f"presets: {', '.join(preset_names())}"
        raise UsageError(f"no preset `{name}`", hint=hint)
    return _split(read_reference(f"{_PREFIX}{name}"), name)


def _file(path: Path) -> Directive:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadInput("a directive may have 64 KiB", path=path, hint="shorten it; it is part of every prompt")
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise Missing(f"{path} does not exist", hint="name an existing file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read as text: {error}", path=path) from error
    if not text:
        raise BadInput("the file is empty", path=path, hint="write the directive, or leave the option out")
    return _split(text, path.stem)


def _text(text: str, number: int) -> Directive:
    if not text.strip():
        raise UsageError("an empty directive", hint="write one, or leave the option out")
    return Directive(f"Directive {number}", text.strip())


def _split(text: str, name: str) -> Directive:
    """A first-level heading is the title; without one the name is."""
    first, _, rest = text.strip().partition("\n")
    return Directive(first[2:].strip(), rest.strip()) if first.startswith("# ") else Directive(name, text.strip())
