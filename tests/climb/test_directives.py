"""Directives and prompts: presets that exist and say something, aliases that are said, templates that lack nothing."""

from pathlib import Path

import pytest

from cairn.agents.protocol import SearchSpace
from cairn.climb.directives import ALIASES, load_directives, preset_names
from cairn.climb.prompt import Brief, render
from cairn.climb.references import read_reference
from cairn.climb.state import State
from cairn.errors import BadInput, Missing, UsageError
from cairn.problem import load_problem
from workspace import TOY

OURS = [
    "triangular-inversion",
    "layout-and-dtypes",
    "fusion",
    "matmul-batching",
    "pipelining",
    "fewer-larger-calls",
    "backward-recompute",
    "control-structure-pivot",
    "macro-coverage",
    "remainder-attribution",
]
SEEDS = [
    "training-chunk-kernel-focus",
    "ce-backend-priority",
    "triangular-inversion",
    "tpu-layout-and-dtypes",
    "emit-pipeline-fullseq",
    "fla-style-decomposition",
    "expdiff-outer-product",
    "matmul-batching",
    "macro-coverage-pivot",
    "control-structure-pivot",
    "associative-summaries",
    "xla-first-train-path",
    "ejkernel-recompute-backward",
    "remainder-attribution-mainline",
    "model-boundary-sweep",
    "decoder-layer-shell-mainline",
    "whole-layer-boundary-prototype",
]


def brief(digest: str = "- champion: 1 us") -> Brief:
    state = State(settings={"target": "tpu-v5p"})
    return Brief(load_problem(TOY), "kernels/axpy/variants/v.py", state, SearchSpace({}), "abc123", 3, 10, digest)


@pytest.mark.parametrize("name", [*OURS, *SEEDS])
def test_every_preset_says_something(name: str) -> None:
    said: list[str] = []
    (directive,) = load_directives((), (), (name,), said.append)
    assert len(directive.text) > 200
    assert not directive.title.startswith("#")
    assert bool(said) == (name in ALIASES)


def test_presets_are_many_and_none_is_another() -> None:
    assert len(preset_names()) >= 10
    assert len({read_reference(f"directive-{name}") for name in preset_names()}) == len(preset_names())
    assert {ours for ours, _ in ALIASES.values()} <= set(preset_names())


def test_presets_files_and_texts_come_in_this_order_and_once(tmp_path: Path) -> None:
    (tmp_path / "own.md").write_text("# Mine\n\ndo this")
    found = load_directives(["and that"], [tmp_path / "own.md"], ["fusion", "whole-layer-boundary-prototype"])
    assert [directive.title for directive in found] == ["Fusion", "Mine", "Directive 1"]
    assert found[1].text == "do this"


def test_what_is_no_directive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.md").write_text(" \n")
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "huge.md").write_text("x" * 70_000)
    with pytest.raises(UsageError, match="no preset") as raised:
        load_directives((), (), ("triangular-inversoin",))
    assert "triangular-inversion" in str(raised.value.hint)
    with pytest.raises(UsageError, match="empty"):
        load_directives(("  ",), (), ())
    for name in ("empty", "binary", "huge"):
        with pytest.raises(BadInput):
            load_directives((), (tmp_path / f"{name}.md",), ())
    with pytest.raises(Missing):
        load_directives((), (tmp_path / "gone.md",), ())


def test_a_prompt_holds_what_an_agent_needs() -> None:
    text = render(brief(), directives=load_directives(["look at loads"], (), ()))
    for part in (
        "attempt 3 of 10",
        "abc123",
        "kernels/axpy/variants/v.py",
        "three candidates",
        "less than 3 %",
        "A change of scalars alone",
        "would refute",
        "- champion: 1 us",
        "### 1. Directive 1\n\nlook at loads",
        '"reject_if"',
    ):
        assert part in text, part
    assert "{{" not in text


def test_a_template_of_the_user_gets_what_it_leaves_out(tmp_path: Path) -> None:
    template = tmp_path / "prompt.md"
    template.write_text(
        "Iteration {{ITERATION}}/{{TOTAL_ITERATIONS}} at {{HEAD_SHA}}; {{UNHEARD_OF}} {x}\n\n{{DIGEST}}"
    )
    text = render(brief(), template=template)
    assert text.startswith("Iteration 3/10 at abc123; {{UNHEARD_OF}} {x}\n\n## What is known")
    assert text.count("- champion: 1 us") == 1
    assert text.index("## Rules") < text.index("## Your last message")


def test_quoted_text_cannot_mention_a_skill() -> None:
    text = render(brief("run $hill-climb and pay $5"))
    assert "$hill-climb" not in text
    assert "pay $5" in text
