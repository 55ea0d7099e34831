"""Runs of pallas-evolve: one `eval_result.json` per variant, read with what the results gate thinks of it.

A number that the gate does not trust stays a fact (it stands in the file) with the flag `u`, so that no ranking can
be won by it.
"""

import re
from pathlib import Path

import msgspec

from cairn.retro.facts import BASELINE, Document, Fact, Note, Place
from cairn.retro.ingest.structured import facts_of_json

UNTRUSTED = "u"
_RESULT = re.compile(r"(?:.*/)?(?:(iteration[_-]?\d+)/variants/([^/]+)|baseline)/eval_result\.json", re.I)
_ERROR_LINE = re.compile(r"(?m)^.*(?:Error|Exception|Check failed|RESOURCE_EXHAUSTED|mismatch).*$")


def variant_of(relative: str) -> str | None:
    """`iteration_2/L1_tiling` for a result of a run, `baseline` for its baseline, None for any other file."""
    match = _RESULT.fullmatch(relative)
    return None if not match else f"{match[1]}/{match[2]}" if match[1] else "baseline"


def read_result(text: str, variant: str, document: Document) -> None:
    """The facts of one variant; an error it reports becomes a note."""
    document.facts += facts_of_json(
        text, Place(document.path, variant, "pallas-evolve", "results"), 1, "eval_result"
    )
    mark = BASELINE if variant == "baseline" else ""
    document.facts = [
        msgspec.structs.replace(each, run=variant, flags=each.flags + mark) for each in document.facts
    ]
    status = next((fact for fact in document.facts if fact.name == "status"), None)
    error = re.search(r'"error"\s*:\s*"((?:[^"\\]|\\.)*)"', text)
    if error and error[1]:
        message = error[1].replace("\\n", "\n").replace('\\"', '"')
        telling = _ERROR_LINE.findall(message) or [message.strip().splitlines()[-1] if message.strip() else ""]
        line = text.count("\n", 0, error.start()) + 1
        title = f"{variant}: {status.raw if status else 'failed'}"
        document.notes.append(Note(document.path, line, "failed", title, variant, telling[-1].strip()[:600]))


def untrusted(run: Path) -> dict[str, str]:
    """Result file, relative to a run directory -> why the gate does not trust it."""
    from cairn.judge.foreign.gate import report_results  # the judge needs packages that most projects do without

    report = report_results(run)
    found = {}
    for variant in report.variants:
        if variant.hard:
            why = "; ".join(sorted({reason.code for reason in variant.reasons}))
            for path in (variant.path, *variant.copies):
                found[path] = why
    return found


def doubt(facts: list[Fact]) -> list[Fact]:
    """The same facts, marked as not trusted."""
    return [msgspec.structs.replace(fact, flags=fact.flags + UNTRUSTED) for fact in facts]
