"""Journals survive kills; whole files are replaced in one step."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cairn.errors import BadInput
from cairn.journal import Journal, SoleJournal, write_atomic


def test_appends_and_reads_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "log.jsonl")
    journal.append({"n": 1})
    journal.append({"n": 2, "text": "zwei\nZeilen"})
    read = journal.read()
    assert read.records == [{"n": 1}, {"n": 2, "text": "zwei\nZeilen"}]
    assert read.torn == b""


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers()), min_size=1, max_size=4), st.data())
def test_a_cut_anywhere_loses_only_the_torn_line(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, int]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "log.jsonl"
    journal = Journal(path)
    for record in records:
        journal.append(record)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    survivors = whole[:cut].count(b"\n")
    assert journal.read().records == records[:survivors]
    journal.append({"after": 1})
    assert journal.read().records == [*records[:survivors], {"after": 1}]
    assert journal.read().torn == b""


def test_a_torn_tail_longer_than_a_block_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"n":1}\n' + b"x" * 200_000)
    Journal(path).append({"n": 2})
    assert path.read_bytes() == b'{"n":1}\n{"n":2}\n'


def test_a_broken_middle_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"n":1}\nrubbish\n{"n":2}\n')
    with pytest.raises(BadInput, match=r"log\.jsonl:2"):
        Journal(path).read()


def test_write_atomic_keeps_the_mode_and_leaves_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "one")
    path.chmod(0o640)
    write_atomic(path, "two\r\n")
    assert path.read_bytes() == b"two\r\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_an_append_is_one_json_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    Journal(path).append({"greek": "ρ"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"greek": "ρ"}


def test_reading_on_parses_each_record_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "book.jsonl")
    known: list[dict[str, object]] = []
    assert journal.read_on(known, 0) == 0
    journal.append({"n": 1})
    offset = journal.read_on(known, 0)
    with journal.path.open("ab") as file:
        file.write(b'{"torn')
    assert journal.read_on(known, offset) == offset
    journal.append({"n": 2, "text": "lone \ud800 surrogate"})
    offset = journal.read_on(known, offset)
    assert [record["n"] for record in known] == [1, 2]
    assert known == journal.read().records
    journal.path.write_bytes(b'{"n":9}\n')
    journal.read_on(known, offset)
    assert [record["n"] for record in known] == [9]


def _make_folder(path: Path) -> None:
    path.unlink()
    (path / "inner").mkdir(parents=True)


def _make_link(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.unlink()
    path.symlink_to(path.with_name("copy"))


def _forge(path: Path) -> None:
    path.write_text(path.read_text().replace("1", "7"))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (_forge, True),
        (Path.unlink, False),
        (_make_folder, True),
        (_make_link, True),
        (lambda path: path.write_text(path.read_text() + '{"n":3}\n'), True),
        (lambda path: path.write_text(path.read_text() + '{"n":'), False),
        (Path.touch, False),
    ],
)
def test_a_journal_of_one_writer_is_put_back(tmp_path: Path, change: Callable[[Path], object], kept: bool) -> None:
    journal = SoleJournal(tmp_path / "log.jsonl")
    journal.append({"n": 1})
    journal.append({"n": 2, "half": "\ud800"})
    whole = journal.path.read_bytes()
    change(journal.path)
    journal.append({"n": 4})
    assert journal.path.read_bytes() == whole + b'{"n":4}\n'
    assert len(list(tmp_path.glob("log.jsonl.found-*"))) == kept
    assert not journal.path.is_symlink()
    assert [record["n"] for record in SoleJournal(journal.path).records] == [1, 2, 4]
