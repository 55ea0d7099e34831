"""How well the places that judge were used: who judged what, how long each was busy, what was lost; from the ledger."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cairn.climb.ledger import Event


@dataclass
class PlaceUse:
    """One place: attempts `judged` in `busy_s` seconds, and `lost` judgements with the `lost_s` seconds they took."""

    name: str
    host: str = ""
    judged: int = 0
    busy_s: float = 0.0
    lost: int = 0
    lost_s: float = 0.0


@dataclass
class FleetUse:
    """All places. `capacity_s`: seconds that they had, while anything was being judged."""

    places: dict[str, PlaceUse] = field(default_factory=dict)
    capacity_s: float = 0.0

    @property
    def occupancy(self) -> float | None:
        """The share of the capacity in which a judgement came to its end; None when nothing was judged."""
        busy_s = sum(place.busy_s for place in self.places.values())
        return min(1.0, busy_s / self.capacity_s) if self.capacity_s else None


def fleet_use(events: Iterable[Event]) -> FleetUse:
    """What a ledger says of its places; ledgers of one place and of earlier versions as well."""
    use, under_way, count = FleetUse(), dict[str, str](), 1
    began: datetime | None = None
    for event in events:
        kind = event["event"]
        if kind == "climb.launched":
            count, began = len(event.get("places", ())) or 1, None
            under_way.clear()
        elif kind == "place.lost" and event.get("for_good"):
            count = max(1, count - 1)
        elif kind == "attempt.judging" and event.get("place"):
            began = began or _time(event)
            under_way[event["attempt"]] = event["place"]
        elif kind in ("attempt.judged", "attempt.blocked") and event["attempt"] in under_way:
            del under_way[event["attempt"]]
            _add(use, event)
            if not under_way and began is not None:
                use.capacity_s += count * (_time(event) - began).total_seconds()
                began = None
    return use


def _add(use: FleetUse, event: Event) -> None:
    place = use.places.setdefault(event["place"], PlaceUse(event["place"]))
    if event["event"] == "attempt.judged":
        place.host = event.get("host", "") or place.host
        place.judged += 1
        place.busy_s += event["judge_s"]
    else:
        place.lost += 1
        place.lost_s += event.get("lost_s", 0.0)


def _time(event: Event) -> datetime:
    return datetime.fromisoformat(event["time"])
