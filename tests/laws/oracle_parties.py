"""Parties and terms of the oracle: which events a trait may still use, one by one, by what sources.yml says. Imports no module of the product.

An event of a source with a term counts for traits that name it or its party, and for no other. Its term runs from its event time. At a time it counts only if the whole tile it
is in lies within the term: what may be over is left out.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.laws.oracle_traits import DAY, HOUR, Trait, in_window

if TYPE_CHECKING:
    from tests.laws.oracle import Event

Sources = Mapping[str, Mapping[str, Any]]
EVERY: Sources = {}
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def term_of(source: str, sources: Sources) -> int:
    """Microseconds of a source's term; 0 for none."""
    return int(str(sources.get(source, {}).get("retention", "0d"))[:-1]) * DAY


def counts(trait: Trait, source: str, sources: Sources) -> bool:
    """Whether the trait counts a source at all."""
    if trait.get("sources"):
        return source in trait["sources"]
    party = sources.get(source, {}).get("party", "first")
    if trait.get("party") in ("second", "third"):
        return party == trait["party"]
    return not term_of(source, sources) and (trait.get("party") is None or party == "first")


def in_term(trait: Trait, events: list["Event"], as_of: int, sources: Sources, now: int) -> tuple[Trait, list["Event"]]:
    """The trait with the window it has in the end, and the events it may use."""
    known = {*sources, *(trait.get("sources") or ())}
    terms = [term_of(source, sources) for source in known if counts(trait, source, sources) and term_of(source, sources)]
    events = [event for event in events if counts(trait, event.source, sources)]
    if not terms:
        return trait, events
    term, window = min(terms), trait.get("window")
    if window is None or (window[0].isdigit() and not trait.get("ago") and int(window[:-1]) * (HOUR if window.endswith("h") else DAY) >= term):
        trait = {**trait, "window": f"{term // HOUR}h"}
    living = [event for event in events if tile_start(trait, event.event_time) > max(as_of, now) - term]
    return trait, [event for event in living if in_window(trait, event.event_time, as_of)]


def tile_start(trait: Trait, at: int) -> int:
    """When the hour, the day, or the local day of a calendar begins that an instant is in."""
    window = trait["window"]
    if window[0].isdigit():
        hop = HOUR if window.endswith("h") else DAY
        return at // hop * hop
    local = (BEGINNING + timedelta(microseconds=at)).astimezone(ZoneInfo(trait.get("time_zone", "UTC")))
    return (local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC) - BEGINNING) // timedelta(microseconds=1)
