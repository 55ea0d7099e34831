"""The published format: every field is described, and the page of documentation has each of them."""

from pathlib import Path

import msgspec

from cairn.cli.report_schema import described, row_types

ROOT = Path(__file__).resolve().parent.parent.parent


def test_every_field_of_the_format_is_described() -> None:
    rows = row_types()
    assert len(rows) > 10
    for row in rows:
        assert set(described(row)) == {field.name for field in msgspec.structs.fields(row)}, row.__name__


def test_the_page_has_every_row() -> None:
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    for row in row_types():
        assert f"### {row.__name__}\n" in text
