"""Reading never raises and never points at a line that does not hold the fact, whatever a file holds."""

import json
import random
import re
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cairn.retro.facts import Document
from cairn.retro.ingest.read import read_source
from cairn.text.numbers import quantities

SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PIECES = st.sampled_from(
    ["# ", "## 2026-01-02 – x", "| a | b |", "|---|---|", "|", "- ", "1. ", "```", "```json", "```yaml", "~~~", "---",
     "**", "`", "1.5 ms", "2e999", "9" * 400, "1,2,3", "±", "0x1f", "٣", "½", "[1]", "<table>", "<td>1</td>",
     "</table>", "<!--",
     "-->", "{", "}", "[", "]", ":", "=", "\t", "\x00", "\ufeff", "\u2028", "\r", "&nbsp;", "$5", "%",
     "1:02:03", "{'a': 1}", '"x": 2', "NaN", "-inf", "&a *a", "!!python/object:os.system", "loss=3", "step 7",
     "\ud7ff", "𝟙"]
)  # fmt: skip
MARKDOWN = st.lists(st.one_of(PIECES, st.text(max_size=12), st.just("\n")), max_size=80).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def read(folder: Path, name: str, data: bytes) -> Document:
    """Read it, and hold every fact against the line it names."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    document = read_source(path, name, "report")
    lines = re.split(r"\r\n|\n|\r", data.decode("utf-8", "replace"))
    for fact in document.facts:
        assert fact.raw
        assert fact.line is None or fact.line >= 1
        assert fact.line is None or fact.raw in lines[fact.line - 1], fact
    return document


@SETTINGS
@given(text=MARKDOWN)
def test_markdown(tmp_path: Path, text: str) -> None:
    read(tmp_path, "a.md", text.encode("utf-8", "surrogatepass"))


@SETTINGS
@given(text=MARKDOWN, suffix=st.sampled_from(["csv", "tsv", "txt", "html", "toml", "yaml", "log", "jsonl"]))
def test_the_same_text_as_anything_else(tmp_path: Path, text: str, suffix: str) -> None:
    read(tmp_path, f"a.{suffix}", text.encode("utf-8", "surrogatepass"))


@SETTINGS
@given(rows=st.lists(st.lists(st.text(max_size=10), max_size=6), max_size=10), mark=st.sampled_from(",;\t|"))
def test_delimited(tmp_path: Path, rows: list[list[str]], mark: str) -> None:
    read(tmp_path, "a.csv", "\n".join(mark.join(row) for row in rows).encode("utf-8", "surrogatepass"))


@SETTINGS
@given(data=JSON, cut=st.integers(0, 40))
def test_json_whole_and_torn(tmp_path: Path, data: object, cut: int) -> None:
    text = json.dumps(data)
    for each in (text, text[: max(0, len(text) - cut)], f"{text}\n{text}"):
        read(tmp_path, "a.json", each.encode())


NAMES = ["a.md", "a.csv", "a.json", "a.yaml", "events.out.tfevents.1", "run-x.wandb", "mlflow.db", "ledger.jsonl",
         "receipts.jsonl", "mlruns/0/r/metrics/loss", "iteration_1/variants/v/eval_result.json", "a.html"]  # fmt: skip


@SETTINGS
@given(data=st.binary(max_size=300), name=st.sampled_from(NAMES))
def test_bytes(tmp_path: Path, data: bytes, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    assert isinstance(read_source(path, name, "report"), Document)


@settings(max_examples=200, deadline=None)
@given(line=st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map("".join)))
def test_a_quantity_is_a_part_of_its_line(line: str) -> None:
    end = -1
    for each in quantities(line):
        assert line[each.start : each.end] == each.raw
        assert each.start >= end, "quantities overlap"
        assert each.value == each.value, "no number"
        end = each.end


@pytest.mark.parametrize(
    "text",
    [
        "[" * 40_000,
        '{"a":' * 50_000,
        "a: &a [*a, *a]\n",
        "|" * 20_000,
        "- " * 50_000,
        "1" * 50_000,
        "a" * 200_000,
        "`" * 39_999,
        "<table>" * 5_000,
        "(" * 50_000 + "1",
        "#" * 40_000,
        "x: " + "9" * 5000,
        "**" * 50_000,
        "1.1." * 30_000,
        "a/" * 50_000,
        "-1" * 50_000,
        "1," * 9_000,
        "2026-01-" * 20_000,
        "step " * 40_000,
    ],
    ids=lambda text: text[:8],
)
@pytest.mark.parametrize("suffix", ["md", "json", "yaml", "csv"])
@pytest.mark.timeout(100)
def test_texts_that_make_parsers_despair(tmp_path: Path, text: str, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text(text)
    assert isinstance(read_source(path, path.name, "report"), Document)


def test_a_line_of_noise_is_read_in_time(tmp_path: Path) -> None:
    draw = random.Random(1)
    text = "\n".join("".join(draw.choices(string.printable, k=5000)) for _ in range(20))
    assert read(tmp_path, "a.md", text.encode()).reader == "markdown"
