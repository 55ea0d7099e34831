"""The instruction that an agent gets: what must be computed, where the climb stands, the rules, the directives.

A template is Markdown with places such as `{{FACTS}}`. A user's own template may leave places out; the blocks without
which an agent cannot do its work (facts, rules, digest, directives, the form of the answer) are added at its end then.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cairn.agents.protocol import SearchSpace
from cairn.climb.directives import Directive
from cairn.climb.references import read_reference
from cairn.climb.state import State, anchor_us
from cairn.errors import BadInput, Missing
from cairn.problem import Problem

_PLACE = re.compile(r"\{\{([A-Z_]+)\}\}")
_NEEDED = ("FACTS", "RULES", "DIGEST", "DIRECTIVES", "ANSWER")
_MENTION = re.compile(r"\$(?=[A-Za-z])")
_WORD_JOINER = "\u2060"  # invisible, and no part of a name


@dataclass(frozen=True)
class Brief:
    """What a prompt is made from.

    Args:
        variant: path of the file to edit, from the repository's root.
        parent: the commit that the worktree is at.
        iteration, total: the number of this attempt, and how many there may be.
        digest: what the climb remembers, as Markdown.
    """

    problem: Problem
    variant: str
    state: State
    space: SearchSpace
    parent: str
    iteration: int
    total: int
    digest: str = ""


def render(brief: Brief, *, directives: Sequence[Directive] = (), template: Path | None = None) -> str:
    """The whole instruction.

    Raises:
        Missing, BadInput: the template is not there or not text.
    """
    text = read_reference("attempt-prompt") if template is None else read_template(template)
    places = _places(brief, directives)
    missing = [name for name in _NEEDED if f"{{{{{name}}}}}" not in text and places[name]]
    text = "\n\n".join([text.strip(), *(f"{{{{{name}}}}}" for name in missing)])
    filled = _PLACE.sub(lambda match: places.get(match[1], match[0]), text)
    return re.sub(r"\n{3,}", "\n\n", filled).strip() + "\n"


def read_template(path: Path) -> str:
    """A user's own template.

    Raises:
        Missing, BadInput: it is not there, or not text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Missing(f"{path} does not exist", hint="name an existing prompt file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"cannot be read as text: {error}", path=path) from error


def _places(brief: Brief, directives: Sequence[Directive]) -> dict[str, str]:
    return {
        "ITERATION": str(brief.iteration),
        "TOTAL_ITERATIONS": str(brief.total),
        "HEAD_SHA": brief.parent,
        "VARIANT": brief.variant,
        "FACTS": _facts(brief),
        "RULES": _section("Rules", read_reference("attempt-rules")),
        "DIGEST": _section("What is known", _no_mentions(brief.digest)),
        "TUNABLES": _tunables(brief.space) or "None declared.",
        "DIRECTIVES": _directives(directives),
        "ANSWER": read_reference("attempt-answer").strip(),
    }


def _facts(brief: Brief) -> str:
    problem, measured = brief.problem, brief.state.measured or {}
    headline = " ".join(f"{name}={size}" for name, size in problem.shapes.bench[0].items())
    kind = str(measured.get("kind", "predicted"))
    how = "predicted from what the real compiler emits; no device runs" if kind == "predicted" else kind
    baseline = anchor_us(measured["baseline"]) if "baseline" in measured else None
    known = measured.get("floor_us")
    floor = f" The chip's floor for a good form of this computation: {_us(known)} us." if known else ""
    others = [" ".join(f"{name}={size}" for name, size in shape.items()) for shape in problem.shapes.bench[1:]]
    rule = "the mean of the ratios over all of them decides" if kind == "predicted" else "each has to be faster"
    also = [f"- Judged at {'; '.join(others)} as well: {rule}."] if others else []
    return "\n".join(
        [
            f"- Problem: {problem.title}",
            f"- File to change: `{brief.variant}`; a change of any other tracked file makes the attempt INVALID",
            f"- What it must compute: `{problem.reference.name}` (frozen)",
            f"- Precision contract: {problem.precision or 'see the reference'}",
            f"- Chip: {brief.state.settings['target']}. Cost is {how}.",
            f"- Champion: {_us(brief.state.champion_us)} us {kind} at {headline}. Baseline: {_us(baseline)} us.{floor}",
            *also,
        ]
    )


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text.strip()}" if text.strip() else ""


def _no_mentions(text: str) -> str:
    """Quoted text must not load a skill: some clients take `$name` for a mention, wherever it stands."""
    return _MENTION.sub(f"${_WORD_JOINER}", text)


def _us(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"


def _tunables(space: SearchSpace) -> str:
    rows = [f"- `{name}`: one of {list(options)}" for name, options in space.choices.items()]
    rows += [f"- must hold: `{constraint}`" for constraint in space.constraints]
    return "\n".join(rows)


def _directives(directives: Sequence[Directive]) -> str:
    if not directives:
        return ""
    blocks = [f"### {number}. {d.title}\n\n{d.text}" for number, d in enumerate(directives, start=1)]
    return "\n\n".join(["## Directives\n\nFollow these wherever they do not conflict with the rules.", *blocks])
