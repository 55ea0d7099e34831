"""What a price is, and prices on disk: every judgement needs the incumbent's, and reading its schedules takes seconds.

A price follows from what was asked of the compiler and from cairn's own model of the chip, and its key names both.
Nothing of a variant but its program is in it, and no seed, input or truth.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from cairn.judge.lowered import digest_of
from cairn.judge.verdict import Ruling
from cairn.lab.cache import Cache

_PACKAGE = Path(__file__).parents[1]
# the model and its tables, the chips' figures, and what is taken from a prediction
_MODEL = ("lab/**/*.py", "lab/**/*.yaml", "chips.yaml", "roofline.py", "judge/pricing.py", "judge/prices.py")


@dataclass(frozen=True)
class Price:
    """The predicted cost of one program at one shape, or why there is none."""

    program: str
    us: float | None
    low_us: float | None
    high_us: float | None
    refused: str | None
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def half_width(self) -> float:
        """The stated relative uncertainty of the prediction, 0 when there is no number."""
        if not self.us or self.high_us is None or self.low_us is None:
            return 0.0
        return max(self.high_us - self.us, self.us - self.low_us) / self.us

    @property
    def in_kernels(self) -> float:
        """Share of the time that is spent inside kernels, 0 where there is none."""
        if not self.us or not self.record.get("custom_calls"):
            return 0.0
        return 1 - float(self.record["breakdown_us"]["neighbours"]) / self.us


@dataclass(frozen=True)
class _Entry:
    price: Price | None
    ruling: Ruling | None


class KeptPrices:
    """Prices by the key of the compile that they come from; without a cache nothing is kept."""

    def __init__(self, kept: Cache | None) -> None:
        self._cache = kept

    def get(self, compile_key: str) -> Price | Ruling | None:
        """What was kept, None when nothing readable was."""
        if self._cache is None:
            return None
        key = _key(compile_key)
        data = self._cache.get(key)
        if data is None:
            return None
        try:
            entry = msgspec.msgpack.decode(data, type=_Entry)
        except msgspec.DecodeError:
            self._cache.drop(key)
            return None
        return entry.price or entry.ruling

    def put(self, compile_key: str, answer: Price | Ruling) -> None:
        """Keep a price, or the ruling that a refusal which is always the same leads to."""
        if self._cache is not None:
            price, ruling = (answer, None) if isinstance(answer, Price) else (None, answer)
            self._cache.put(_key(compile_key), msgspec.msgpack.encode(_Entry(price, ruling)))


def _key(compile_key: str) -> str:
    return digest_of(["price", compile_key, _model()])


@cache
def _model() -> str:
    """Digest of the code and the tables that make a price of a schedule."""
    digest = hashlib.sha256()
    for pattern in _MODEL:
        for path in sorted(_PACKAGE.glob(pattern)):
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
