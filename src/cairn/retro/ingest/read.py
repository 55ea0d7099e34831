"""Read one source, whatever it is: the reader is chosen by name and first bytes, and nothing a file holds can raise.

Last of all every fact is held against the line it names; one whose text does not stand there is dropped, because
evidence that cannot be found is none.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from cairn.retro.candidates import report_head
from cairn.retro.facts import Document, Fact, Place
from cairn.retro.ingest.databases import mlflow_run_name, read_database, read_mlflow_file
from cairn.retro.ingest.delimited import read_delimited
from cairn.retro.ingest.evolve import read_result, variant_of
from cairn.retro.ingest.html import html_tables
from cairn.retro.ingest.markdown import read_markdown_report
from cairn.retro.ingest.own_records import read_ledger, read_receipts
from cairn.retro.ingest.structured import facts_of_json, facts_of_toml, facts_of_yaml
from cairn.retro.ingest.tables import facts_of_table
from cairn.retro.ingest.tensorboard import read_events
from cairn.retro.ingest.text import decode, lines_of, looks_binary
from cairn.retro.ingest.wandb import read_wandb

MAX_BYTES = 64 * 2**20
MAX_FACTS = 50_000
EVENTS = re.compile(r".*\.tfevents\..*|events\.out\.tfevents.*")
DATABASES = (".db", ".sqlite", ".sqlite3")


def read_source(path: Path, relative: str, kind: str) -> Document:
    """One file as a document; trouble with it is a warning in the document."""
    document = Document(relative, kind)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            document.warnings.append(f"larger than {MAX_BYTES // 2**20} MiB; not read")
            return document
        if _read_binary(path, document):
            return document
        data = path.read_bytes()
    except OSError as error:
        document.warnings.append(f"cannot be read: {error.strerror}")
        return document
    if looks_binary(data):
        document.warnings.append("not a text file")
        return document
    text, warning = decode(data)
    if warning:
        document.warnings.append(warning)
    lines = lines_of(text)
    _read_text(path, text, lines, document)
    if len(document.facts) > MAX_FACTS:
        document.warnings.append(f"only the first {MAX_FACTS} of {len(document.facts)} values were kept")
        del document.facts[MAX_FACTS:]
    document.facts = _anchored(document.facts, lines)
    return document


def _read_binary(path: Path, document: Document) -> bool:
    name = path.name
    if EVENTS.fullmatch(name):
        document.reader = "tensorboard"
        read_events(path, document, MAX_FACTS)
    elif name.endswith(".wandb"):
        document.reader = "wandb"
        read_wandb(path, document, MAX_FACTS)
    elif path.suffix.lower() in DATABASES:
        document.reader = "database"
        if not read_database(path, document, MAX_FACTS):
            document.warnings.append("a database of neither MLflow nor trackio")
    else:
        return False
    return True


def _read_text(path: Path, text: str, lines: list[str], document: Document) -> None:
    name, suffix = path.name.lower(), path.suffix.lower()
    place = Place(document.path)
    document.title, document.date, document.status = report_head(path.name, text)
    if name == "ledger.jsonl":
        document.reader = "ledger"
        read_ledger(lines, document)
    elif name == "receipts.jsonl":
        document.reader = "receipts"
        read_receipts(lines, document)
    elif variant := variant_of(document.path):
        document.reader = "pallas-evolve"
        read_result(text, variant, document)
    elif ("/mlruns/" in f"/{document.path}" and "." not in path.name) or (
        re.search(r"/(?:metrics|params)/[^/]+$", document.path) and "/mlruns/" in f"/{document.path}"
    ):
        document.reader = "mlflow files"
        folder = next((each for each in path.parents if (each / "meta.yaml").is_file()), path.parent)
        read_mlflow_file(document.path, text, mlflow_run_name(folder), document)
    elif suffix in (".csv", ".tsv") or (suffix == ".txt" and _is_tabular(lines)):
        document.reader = "table"
        read_delimited(lines, place, document, suffix == ".tsv" or suffix == ".txt", MAX_FACTS)
    elif suffix in (".json", ".jsonl", ".ndjson"):
        document.reader = "json"
        document.facts = facts_of_json(text, Place(document.path, _wandb_run(document.path)))
    elif suffix in (".yaml", ".yml", ".toml", ".cfg", ".ini"):
        document.reader = "settings"
        place = Place(document.path, _wandb_run(document.path), "", "parameters")
        found = facts_of_yaml(text, place) if suffix in (".yaml", ".yml") else None
        document.facts = facts_of_toml(lines, place) if found is None else found
    elif suffix in (".html", ".htm"):
        document.reader = "html"
        for table in html_tables(text):
            document.facts += facts_of_table(table, place, "html table")
    else:
        document.reader = "markdown"
        read_markdown_report(document.path, lines, document)


def _is_tabular(lines: Sequence[str]) -> bool:
    head = [line for line in lines[:5] if line.strip()]
    return len(head) > 1 and all(line.count("\t") == head[0].count("\t") > 0 for line in head)


def _wandb_run(relative: str) -> str:
    match = re.search(r"(?:^|/)(?:offline-)?run-\d{8}_\d{6}-(\w+)/", relative)
    return match[1] if match else ""


def _anchored(facts: Sequence[Fact], lines: Sequence[str]) -> list[Fact]:
    """Facts whose text stands on the line they name."""
    return [
        fact
        for fact in facts
        if fact.line is None or (fact.line <= len(lines) and fact.raw and fact.raw in lines[fact.line - 1])
    ]
