"""The anchors of a climb: what the baseline, the start and the champion cost in the environment of today.

Every claim is a ratio to one of them, so they are priced or timed again whenever the fingerprint changes: another jax,
libtpu or version of cairn would otherwise be taken for progress.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cairn.climb.costs import over_all_shapes
from cairn.climb.failures import DOUBTFUL
from cairn.errors import BadInput, TryAgain
from cairn.judge.calibration import Calibration
from cairn.judge.protocol import VariantSource
from cairn.judge.receipt import ReceiptBook
from cairn.judge.record import headline, record_of
from cairn.judge.referee import Judge


class Anchors:
    """Prices fixed points of a climb, each once for each fingerprint."""

    def __init__(self, receipts: ReceiptBook, climb: str, path: Path) -> None:
        """`path`: the variant's file in the user's tree, for messages."""
        self._receipts = receipts
        self._climb = climb
        self._path = path

    def measure(
        self,
        judge: Judge,
        start: VariantSource,
        champion: VariantSource,
        previous: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Fields of a `climb.measured` event. On a device the A/A run comes first: no number without its noise.

        Args:
            previous: the last such event; its calibration holds as long as the fingerprint does.

        Raises:
            BadInput: the start or the champion is not a valid variant here and now.
            TryAgain: a process of the judge was killed.
        """
        calibration = self._calibration(judge, previous)
        first = self._receipt(judge, "start", start)
        best = first if champion.digest == start.digest else self._receipt(judge, "champion", champion)
        kind, baseline_us = headline(first).kind, headline(first).incumbent_us
        return {
            "fingerprint": judge.fingerprint(),
            "kind": kind,
            "calibration": calibration.record() if calibration else None,
            "baseline": {
                "variant": judge.problem.baseline,
                f"{kind}_us": baseline_us,
                **_mean(over_all_shapes(first).get("incumbent_mean_us")),
            },
            "start": _anchor(start, first),
            "champion": _anchor(champion, best),
            "floor_us": first["cost"]["shapes"][0]["floors"]["target_us"] if kind == "predicted" else None,
        }

    @staticmethod
    def _calibration(judge: Judge, previous: Mapping[str, Any] | None) -> Calibration | None:
        known = previous.get("calibration") if previous else None
        if known is None or previous is None or previous["fingerprint"] != judge.fingerprint():
            return judge.calibrate()
        judge.use(Calibration.of(known))
        return Calibration.of(known)

    def _receipt(self, judge: Judge, label: str, source: VariantSource) -> dict[str, Any]:
        """The receipt of an anchor; one that a killed launch has written already is not written again."""
        known = self._receipts.find(climb=self._climb, attempt=label, fingerprint=judge.fingerprint())
        if known is not None and known["variant"]["sha256"] == source.digest and _is_priced(known):
            return known
        case = judge.judge(source, anchor=True)
        if case.ruling is not None and case.ruling.reason in DOUBTFUL:
            raise TryAgain(f"the judge's process ended ({case.ruling.reason}): {case.ruling.detail}")
        receipt = self._receipts.add(record_of(case, judge, climb=self._climb, attempt=label))
        if not _is_priced(receipt):
            message = (
                f"a climb needs a valid {label}: {receipt['verdict']} ({receipt['reason']}) {receipt['detail']}"
            )
            hint = f"cairn judge run {self._path.parent.parent} --variant {source.name} shows all of it"
            raise BadInput(message, path=self._path, hint=hint)
        return receipt


def _is_priced(receipt: Mapping[str, Any]) -> bool:
    """Whether a receipt has both costs that an anchor is about."""
    found = headline(dict(receipt))
    return found.us is not None and found.incumbent_us is not None


def _anchor(source: VariantSource, receipt: dict[str, Any]) -> dict[str, Any]:
    found = headline(receipt)
    mean = _mean(over_all_shapes(receipt).get("mean_us"))
    return {"variant": source.name, f"{found.kind}_us": found.us, **mean, "receipt": receipt["id"]}


def _mean(us: float | None) -> dict[str, float]:
    return {} if us is None else {"mean_us": us}
