"""MLflow and trackio stores in SQLite, opened read-only with the standard library; MLflow's folder of files."""

import math
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cairn.retro.facts import Document, Fact, Place
from cairn.retro.ingest.json_text import leaves
from cairn.retro.ingest.structured import facts_of_yaml
from cairn.text.numbers import plain

_RESERVED = re.compile(r"_.*|system/.*")


def read_database(path: Path, document: Document, limit: int) -> bool:
    """Add the runs of a store; False when the database is neither MLflow's nor trackio's."""
    try:
        # immutable: nobody's lock is waited for and no journal is written beside somebody else's file
        with sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "replace")
            tables = {name for (name,) in connection.execute("select name from sqlite_master where type='table'")}
            if {"metrics", "runs", "params"} <= tables:
                found = _mlflow(connection, document.path)
            elif "metrics" in tables and "configs" in tables:
                found = _trackio(connection, document.path)
            else:
                return False
            for fact in found:
                document.facts.append(fact)
                if len(document.facts) >= limit:
                    document.warnings.append(f"only the first {limit} values were read")
                    break
    except (sqlite3.Error, UnicodeDecodeError) as error:
        document.warnings.append(f"cannot be read: {error}")
    finally:
        if "connection" in locals():
            connection.close()
    return True


def _mlflow(connection: sqlite3.Connection, path: str) -> Iterator[Fact]:
    names = {uuid: name or uuid[:8] for uuid, name in connection.execute("select run_uuid, name from runs")}
    for key, value, run in connection.execute("select key, value, run_uuid from params"):
        yield _setting(
            path,
            str(value),
            str(key),
            names.get(run, str(run)[:8]),
            f"params {key} of run {str(run)[:8]}",
            "mlflow",
        )
    rows = connection.execute(
        "select key, value, run_uuid, step, is_nan from metrics order by run_uuid, key, step"
    )
    for key, value, run, step, is_nan in rows:
        if not is_nan and isinstance(value, int | float) and math.isfinite(value):
            place = f"metrics {key} step {step} of run {str(run)[:8]}"
            yield Fact(path, None, repr(value), float(value), None, str(key), names.get(run, str(run)[:8]), "metrics",
                       "results", "mlflow", float(step or 0), place=place)  # fmt: skip


def _trackio(connection: sqlite3.Connection, path: str) -> Iterator[Fact]:
    for name, config in connection.execute("select run_name, config from configs"):
        for leaf in leaves(_text(config)):
            key = ".".join(each for each in leaf.path if each[:1] != "[")
            if leaf.value is not None and not _RESERVED.fullmatch(key):
                raw = leaf.raw if isinstance(leaf.value, float) else str(leaf.value)
                yield _setting(path, raw, key, str(name), f"configs of run {name}", "trackio")
    for row, name, step, metrics in connection.execute(
        "select id, run_name, step, metrics from metrics order by id"
    ):
        for leaf in leaves(_text(metrics)):
            key = ".".join(each for each in leaf.path if each[:1] != "[")
            if isinstance(leaf.value, float) and not isinstance(leaf.value, bool) and not _RESERVED.fullmatch(key):
                yield Fact(path, None, leaf.raw, leaf.value, None, key, str(name), "metrics", "results", "trackio",
                           float(step or 0), place=f"metrics row {row}")  # fmt: skip


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _setting(path: str, raw: str, name: str, run: str, place: str, shape: str) -> Fact:
    quantity = plain(raw)
    number = quantity.value if quantity and quantity.unit is None else None
    return Fact(path, None, raw[:200], number, None, name, run, "params", "parameters", shape, place=place)


_METRIC_FILE = re.compile(r"(?:.*/)?([^/]+)/(metrics|params)/(.+)")


def read_mlflow_file(relative: str, text: str, run_name: str, document: Document) -> None:
    """One file of MLflow's folder: `metrics/NAME` has `time value step` lines, `params/NAME` holds one value."""
    match = _METRIC_FILE.fullmatch(relative)
    if not match:
        document.facts += facts_of_yaml(text, Place(document.path)) or []
        return
    kind, name = match[2], match[3]
    for number, line in enumerate(text.splitlines()[:100_000], 1):
        words = line.split()
        raw = words[1] if kind == "metrics" and len(words) > 1 else line.strip()
        quantity = plain(raw)
        value = quantity.value if quantity and quantity.unit is None else None
        if kind == "params" and raw:
            document.facts.append(
                Fact(document.path, number, raw, value, None, name, run_name, "params", "parameters", "mlflow")
            )
        elif kind == "metrics" and value is not None:
            step = float(words[2]) if len(words) > 2 and words[2].lstrip("-").isdigit() else None
            document.facts.append(
                Fact(document.path, number, raw, value, None, name, run_name, "metrics", "results", "mlflow", step)
            )


def mlflow_run_name(folder: Path) -> str:
    """The name of the run that a folder of MLflow's holds; its id when it has none."""
    try:
        meta = (folder / "meta.yaml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return folder.name[:8]
    match = re.search(r"(?m)^run_name:\s*(.+?)\s*$", meta)
    return match[1].strip("'\"") if match and match[1] not in ("", "''", "null") else folder.name[:8]
