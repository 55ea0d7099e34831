"""The quick way to the blocks of a text gives what the whole parser gives."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from cairn.text.blocks import quick_blocks
from cairn.text.markdown import parsed_blocks, read_markdown

ODD = (
    "@@ @# One@## Two #@### [F001] a@####@#x@- **Fix**: f@- a@- # h@-@- @-  two spaces@- - nested@  continued@"
    "  - nested@    code@\ttab@prose@**bold**: x@* star@+ plus@1. one@---@===@> quote@>- a@- > a@[a]: b@- 1. x@"
    "-\ta@- `x`@***@* * *@- * * *@Prose with `code`@\\# no@# a\\@  # indented@   ## three@prose\x0c@# \x0b@"
    "- a\u2028b@\x85@- [ ] todo@| a | b |@|---|---|@é prose@- é"
)
LINES = st.one_of(
    st.sampled_from(ODD.split("@")),
    st.text("ab-#*> \t\\[]1.", max_size=8),
)


@settings(max_examples=1500)
@given(st.lists(LINES, max_size=12))
def test_both_ways_agree(lines: list[str]) -> None:
    lines = [re.sub(r"[\r\n]", "", line) for line in lines]
    quick = quick_blocks(lines, parsed_blocks)
    if quick is None:
        return
    headings, blocks = parsed_blocks("\n".join(lines))
    assert quick[0] == headings
    paragraphs = [(block.line, block.end_line) for block in blocks if block.kind == "paragraph"]
    assert [(block.line, block.end_line) for block in quick[1] if block.kind == "paragraph"] == paragraphs
    assert [(block.kind, block.line) for block in quick[1]] == [(block.kind, block.line) for block in blocks]


def test_what_may_reach_over_a_heading_is_left_to_the_parser() -> None:
    for text in ("```", "- ~~~", "<div>", "  <!-- a", "> <pre>", "1. ```"):
        assert quick_blocks([text, "# h"], parsed_blocks) is None
    assert [heading.text for heading in read_markdown("<!--\n# no\n-->\n# yes\n").headings] == ["yes"]
