"""What an edit cost, from its tokens and a table that names its date and source; unknown stays unknown."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cairn.agents.protocol import Usage
from cairn.settings import Source

_SHIPPED = Path(__file__).with_name("prices.yaml")
_DATE = re.compile(r"-(?:\d{4}-\d\d-\d\d|\d{8})$")


class _Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    input: float
    cached: float
    output: float
    write: float | None = None


class _Step(_Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    tokens: int


class _Row(_Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    above: _Step | None = None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, _Row]
    source: str
    read: object = None


@dataclass(frozen=True)
class Prices:
    """Prices by model. `own`: the models of a file that the user gave, which hold for any provider."""

    rows: dict[str, _Row]
    own: frozenset[str] = frozenset()

    def knows(self, model: str, *, own_only: bool = False) -> bool:
        """Whether the model has a price; with `own_only`, one from the user's own file."""
        name = self._name(model)
        return name is not None and (name in self.own or not own_only)

    def cost_usd(self, usage: Usage, model: str) -> float | None:
        """Dollars for these tokens, None for a model without a price; an upper bound where a tariff has steps."""
        name = self._name(model)
        if name is None:
            return None
        row = self.rows[name]
        rates: _Rates = row
        if row.above is not None and usage.input_tokens > row.above.tokens:
            rates = row.above
        fresh = max(usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens, 0)
        parts = (
            fresh * rates.input,
            usage.cached_input_tokens * rates.cached,
            usage.cache_write_tokens * (rates.input if rates.write is None else rates.write),
            usage.output_tokens * rates.output,
        )
        return sum(parts) / 1e6

    def _name(self, model: str) -> str | None:
        """The row of a model: by its name, without a provider in front, without a date at its end."""
        bare = model.rpartition("/")[2]
        names = (model, bare, _DATE.sub("", bare))
        return next((name for name in names if name in self.rows), None)


@functools.cache
def load_prices(own: Path | None = None) -> Prices:
    """The shipped table, with the rows of the user's own file over it.

    Raises:
        Missing, BadInput: the user's file.
    """
    rows = Source(_SHIPPED).to(_Table).models
    if own is None:
        return Prices(rows)
    added = Source(own, missing_hint="name an existing price table, or leave the option out").to(_Table).models
    return Prices({**rows, **added}, frozenset(added))
