"""cairn's own ledgers and receipts: attempts with what they cost, and why they were kept or not.

Predicted and measured cost keep their own names. A line that is no record is left out with a warning; the last one
may be torn by a kill.
"""

import json
from collections.abc import Iterator

from cairn.retro.facts import PARAMETER, Document, Fact, Note
from cairn.retro.ingest.json_text import Leaf, leaves

_LEDGER_NUMBERS = ("predicted_us", "measured_us", "ratio", "agent_s", "judge_s", "cost_usd")
_LEDGER_WORDS = ("verdict", "reason", "decision", "status")
_RECEIPT_NUMBERS = ("predicted_us", "measured_us", "low_us", "high_us", "ratio", "margin", "median_us")


def read_ledger(lines: list[str], document: Document) -> None:
    """Facts of every attempt, and a note for each one that was not kept."""
    hypotheses: dict[str, str] = {}
    reasons: dict[str, str] = {}
    for number, event in _objects(lines, document):
        attempt = str(event.get("attempt") or "")
        run = attempt or ("anchors" if event.get("event") == "climb.measured" else "")
        document.facts += _ledger_facts(lines[number - 1], number, document.path, run)
        if event.get("hypothesis"):
            hypotheses[attempt] = str(event["hypothesis"])
        if event.get("reason") and event.get("verdict"):
            reasons[attempt] = f"{event['verdict']}: {event['reason']}; {event.get('detail') or ''}".rstrip("; ")
        if event.get("event") == "attempt.decided":
            kept = event.get("decision") == "kept"
            text = hypotheses.get(attempt) or attempt
            why = reasons.get(attempt, str(event.get("failure") or ""))
            document.notes.append(Note(document.path, number, "worked" if kept else "failed", text[:600],
                                       attempt, why[:600]))  # fmt: skip


def read_receipts(lines: list[str], document: Document) -> None:
    """Facts of every judgement, named by its variant."""
    for number, receipt in _objects(lines, document):
        variant = receipt.get("variant")
        name = str(variant.get("name") or "") if isinstance(variant, dict) else ""
        run = f"{name} {receipt.get('id') or ''}".strip()
        for leaf in leaves(lines[number - 1], number):
            key = leaf.path[-1] if leaf.path else ""
            whose = "incumbent " if "incumbent" in leaf.path else ""
            if isinstance(leaf.value, float) and not isinstance(leaf.value, bool) and key in _RECEIPT_NUMBERS:
                fact = Fact(document.path, number, leaf.raw, leaf.value, _unit(key), whose + key, run,
                                  str(receipt.get("problem") or ""), "results", "receipt")  # fmt: skip
                document.facts.append(fact)
            elif leaf.path == ("verdict",) or leaf.path == ("reason",):
                document.facts.append(
                    Fact(document.path, number, str(leaf.value), None, None, key, run, "", "results", "receipt")
                )


def _objects(lines: list[str], document: Document) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            yield number, record
        elif number < len(lines):
            document.warnings.append(f"line {number} is no record")


def _ledger_facts(line: str, number: int, path: str, run: str) -> Iterator[Fact]:
    for leaf in leaves(line, number):
        key = leaf.path[-1] if leaf.path else ""
        if key in _LEDGER_NUMBERS and isinstance(leaf.value, float):
            name = f"{leaf.path[-2]} {key}" if run == "anchors" and len(leaf.path) > 1 else key
            yield Fact(path, number, leaf.raw, leaf.value, _unit(key), name, run, "climb", "results", "ledger")
        elif key in _LEDGER_WORDS and isinstance(leaf.value, str) and leaf.value and len(leaf.path) == 1:
            yield Fact(path, number, leaf.value, None, None, key, run, "climb", "results", "ledger")
        elif leaf.path[:1] == ("tunables",) and len(leaf.path) == 2:
            yield _tunable(leaf, path, number, run)


def _tunable(leaf: Leaf, path: str, number: int, run: str) -> Fact:
    value = leaf.value if isinstance(leaf.value, float) and not isinstance(leaf.value, bool) else None
    return Fact(path, number, leaf.raw, value, None, leaf.path[1], run, "climb", PARAMETER + "s", "ledger")


def _unit(key: str) -> str | None:
    return "us" if key.endswith("_us") else "s" if key.endswith("_s") else "USD" if key.endswith("_usd") else None
