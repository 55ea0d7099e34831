"""The anchors of a climb: what the baseline, the start and the champion cost in the environment of today.

Every claim is a ratio to one of them, so they are priced again whenever the fingerprint changes: another jax,
libtpu or version of cairn would otherwise be taken for progress.
"""

from pathlib import Path
from typing import Any

from cairn.errors import BadInput
from cairn.judge.protocol import VariantSource
from cairn.judge.receipt import ReceiptBook
from cairn.judge.record import record_of
from cairn.judge.referee import Judge


class Anchors:
    """Prices fixed points of a climb, each once for each fingerprint."""

    def __init__(self, receipts: ReceiptBook, climb: str, path: Path) -> None:
        """`path`: the variant's file in the user's tree, for messages."""
        self._receipts = receipts
        self._climb = climb
        self._path = path

    def measure(self, judge: Judge, start: VariantSource, champion: VariantSource) -> dict[str, Any]:
        """Fields of a `climb.measured` event.

        Raises:
            BadInput: the start or the champion is not a valid variant here and now.
        """
        first = self._receipt(judge, "start", start)
        best = first if champion.digest == start.digest else self._receipt(judge, "champion", champion)
        shape, baseline = first["cost"]["shapes"][0], first["cost"]["incumbent"][0]
        return {
            "fingerprint": judge.fingerprint(),
            "baseline": {"variant": judge.problem.baseline, "predicted_us": baseline["predicted_us"]},
            "start": _anchor(start, first),
            "champion": _anchor(champion, best),
            "floor_us": shape["floors"]["target_us"],
        }

    def _receipt(self, judge: Judge, label: str, source: VariantSource) -> dict[str, Any]:
        """The receipt of an anchor; one that a killed launch has written already is not written again."""
        known = self._receipts.find(climb=self._climb, attempt=label, fingerprint=judge.fingerprint())
        if known is not None and known["variant"]["sha256"] == source.digest:
            return known
        case = judge.judge(source, anchor=True)
        receipt = self._receipts.add(record_of(case, judge, climb=self._climb, attempt=label))
        if case.cost_us is None or not case.incumbent_prices or case.incumbent_prices[0].us is None:
            message = (
                f"a climb needs a valid {label}: {receipt['verdict']} ({receipt['reason']}) {receipt['detail']}"
            )
            hint = f"cairn judge run {self._path.parent.parent} --variant {source.name} shows all of it"
            raise BadInput(message, path=self._path, hint=hint)
        return receipt


def _anchor(source: VariantSource, receipt: dict[str, Any]) -> dict[str, Any]:
    predicted = receipt["cost"]["shapes"][0]["predicted_us"]
    return {"variant": source.name, "predicted_us": predicted, "receipt": receipt["id"]}
