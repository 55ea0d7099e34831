"""The JSON inside a page: safe between script tags, complete where it can be, and small enough to send.

A run of a thousand attempts with whole diffs and transcripts would be tens of megabytes. Numbers are never left out;
long texts are shortened, those of kept attempts last, and each says how much of it is missing.
"""

from collections.abc import Callable

import msgspec

from cairn.report.highlight import diff_spans
from cairn.report.receipt_rows import Check, Receipt
from cairn.report.rows import Attempt, Report, Run, Utterance
from cairn.report.summary import is_kept

BUDGET_BYTES = 3_000_000
_HIGHLIGHTED_CHARS = 120_000
_LEAST_CHARS = 400
_KEPT_FACTOR = 20
_FULL_CHARS = 60_000


def script_json(row: object) -> str:
    """JSON that cannot end the element it stands in, nor open another one."""
    text = msgspec.json.encode(row).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def fitted(report: Report, budget: int = BUDGET_BYTES) -> Report:
    """The report with its long texts shortened as far as the budget asks for."""
    if _size(report) <= budget:
        return report
    slim = _each_attempt(report, lambda each: each if is_kept(each) else _slim(each))
    numbers = _size(_each_attempt(slim, lambda each: _shortened(each, 0)))
    attempts = sum(len(run.attempts) for run in report.runs) or 1
    share = max(0, budget - numbers) // attempts
    while (result := _with_share(slim, share)) and _size(result) > budget and share > _LEAST_CHARS:
        share //= 2
    return result


def spans_by_attempt(runs: list[Run]) -> dict[str, str]:
    """Colours of diffs, those of kept attempts first, as many as are worth their time. Keys: run number/attempt."""
    queue = [(f"{at}/{each.id}", each) for at, run in enumerate(runs) for each in run.attempts if each.diff]
    queue.sort(key=lambda item: not is_kept(item[1]))
    found, left = {}, _HIGHLIGHTED_CHARS
    for key, attempt in queue:
        if len(attempt.diff) <= left:
            left -= len(attempt.diff)
            found[key] = diff_spans(attempt.diff)
    return found


def _size(report: Report) -> int:
    return len(msgspec.json.encode(report))


def _each_attempt(report: Report, change: Callable[[Attempt], Attempt]) -> Report:
    runs = [msgspec.structs.replace(run, attempts=[change(each) for each in run.attempts]) for run in report.runs]
    return msgspec.structs.replace(report, runs=runs)


def _with_share(report: Report, share: int) -> Report:
    return _each_attempt(report, lambda each: _shortened(each, _share(each, share)))


def _share(attempt: Attempt, share: int) -> int:
    return min(_FULL_CHARS, share * _KEPT_FACTOR) if is_kept(attempt) else min(_FULL_CHARS, share)


def _slim(attempt: Attempt) -> Attempt:
    """Without what a discarded attempt repeats: draws that passed, and what the compiler said of further shapes."""
    receipt = attempt.receipt
    if receipt is None:
        return attempt
    shapes = [
        each if at == 0 else msgspec.structs.replace(each, metrics={}, flags=[], breakdown_us={})
        for at, each in enumerate(receipt.shapes)
    ]
    timings = [
        msgspec.structs.replace(each, ratios=[], ratios_left_out=_ratios(each.ratios)) for each in receipt.timings
    ]
    slim: Receipt = msgspec.structs.replace(
        receipt, shapes=shapes, checks=_closest(receipt), rule="", timings=timings
    )
    return msgspec.structs.replace(attempt, receipt=slim)


def _ratios(processes: list[list[float]]) -> int:
    return sum(map(len, processes))


def _closest(receipt: Receipt) -> list[Check]:
    failed = [each for each in receipt.checks if not each.ok]
    return failed or sorted(receipt.checks, key=lambda each: -(each.rms or 0) / (each.allowed or 1))[:1]


def _shortened(attempt: Attempt, chars: int) -> Attempt:
    """The diff gets up to half of the room, the transcript the rest."""
    diff = attempt.diff[: max(chars // 2, 0)]
    left = max(0, chars - len(diff))
    said: list[Utterance] = []
    cut = 0
    for each in attempt.transcript:
        text = each.text[:left]
        left -= len(text)
        cut += len(each.text) - len(text)
        if text:
            said.append(Utterance(role=each.role, text=text))
    return msgspec.structs.replace(
        attempt,
        diff=diff,
        diff_left_out=attempt.diff_left_out + len(attempt.diff) - len(diff),
        transcript=said,
        transcript_left_out=attempt.transcript_left_out + cut,
    )
