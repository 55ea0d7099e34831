"""Tables written in HTML, as found inside Markdown reports and as whole pages."""

from html.parser import HTMLParser

from cairn.retro.ingest.tables import Cell, Table

_MAX_CELLS = 50_000


class _Tables(HTMLParser):
    """Collects tables; a cell's line is that of its first text."""

    def __init__(self, first_line: int) -> None:
        super().__init__(convert_charrefs=True)
        self.first_line = first_line
        self.tables: list[Table] = []
        self._rows: list[list[Cell]] | None = None
        self._header: list[Cell] | None = None
        self._row: list[Cell] | None = None
        self._row_is_header = False
        self._text: list[str] | None = None
        self._line = 0
        self._cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._finish_table()
            self._rows, self._header = [], None
        elif tag == "tr" and self._rows is not None:
            self._finish_row()
            self._row, self._row_is_header = [], False
        elif tag in ("td", "th") and self._row is not None:
            self._finish_cell()
            self._text, self._line = [], 0
            self._row_is_header = self._row_is_header or (tag == "th" and not self._row)
        elif tag in ("b", "strong") and self._text is not None:
            self._text.append("**")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._finish_cell()
        elif tag == "tr":
            self._finish_row()
        elif tag == "table":
            self._finish_table()
        elif tag in ("b", "strong") and self._text is not None:
            self._text.append("**")

    def handle_data(self, data: str) -> None:
        if self._text is None:
            return
        if data.strip() and not self._line:
            leading = data[: len(data) - len(data.lstrip())]
            self._line = self.getpos()[0] + leading.count("\n") + self.first_line - 1
        self._text.append(data)

    def _finish_cell(self) -> None:
        if self._text is not None and self._row is not None and self._cells < _MAX_CELLS:
            text = "".join(self._text).strip()
            self._row.append(Cell(text.split("\n")[0], self._line or self.getpos()[0] + self.first_line - 1))
            self._cells += 1
        self._text = None

    def _finish_row(self) -> None:
        self._finish_cell()
        if self._row and self._rows is not None:
            if self._header is None and (self._row_is_header or not self._rows):
                self._header = self._row
            else:
                self._rows.append(self._row)
        self._row = None

    def _finish_table(self) -> None:
        self._finish_row()
        if self._rows is not None and self._header is not None:
            self.tables.append(Table(self._header, self._rows))
        self._rows = None

    def finish(self) -> list[Table]:
        """What was read, also of a table that never closes."""
        self.close()
        self._finish_table()
        return self.tables


def html_tables(text: str, first_line: int = 1) -> list[Table]:
    """All tables of an HTML text; their cells keep the lines of the file that the text begins on `first_line` of."""
    parser = _Tables(first_line)
    parser.feed(text)
    return parser.finish()
