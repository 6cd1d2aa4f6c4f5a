"""Random sources with terms, and traits that count some of them, for the laws of terms. The declarations are those a file could have: wrong ones are not drawn."""

from typing import Any

from millrace.definitions import Definitions
from millrace.traits.parties import party_problems
from tests.laws.histories import Choose, some_traits
from tests.laws.product import declared

SOURCES: tuple[dict[str, dict[str, Any]], ...] = (
    {"shop": {"party": "third", "retention": "1d"}},
    {"shop": {"party": "third", "retention": "2d"}, "http": {"party": "second"}},
    {"shop": {"party": "third", "retention": "3d"}, "http": {"party": "third", "retention": "3d"}},
    {"shop": {"party": "third", "retention": "1d"}, "http": {"party": "third", "retention": "9d"}},
    {"shop": {"party": "second", "retention": "9d"}, "kafka": {"party": "third", "retention": "2d"}},
    {"http": {"retention": "1d"}, "kafka": {"party": "second"}},
)
CHOICES: tuple[dict[str, Any], ...] = (
    {}, {"party": "third"}, {"party": "third"}, {"party": "second"}, {"party": "first"}, {"sources": ["shop"]}, {"sources": ["http"]}, {"sources": ["kafka", "shop"]},
)  # fmt: skip


def some_parties(choose: Choose) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]], Definitions]:
    """Sources, traits as the oracle reads them, and the definitions of both."""
    sources, traits = SOURCES[choose(len(SOURCES))], {}
    for name, trait in some_traits(choose).items():
        tries = (CHOICES[choose(len(CHOICES))], {"sources": ["shop"]}, {"party": "third"}, {"sources": ["http", "shop"]}, {})
        sound = [more for more in tries if not list(party_problems(_definitions({name: trait | more}, sources).views, _definitions({}, sources).sources))]
        if sound:
            traits[name] = trait | sound[0]
    traits = traits or {"orders": {"event": "Order Completed", "op": "count"}}
    return sources, traits, _definitions(traits, sources)


def _definitions(traits: dict[str, dict[str, Any]], sources: dict[str, dict[str, Any]]) -> Definitions:
    return Definitions.model_validate({"views": {"person": declared(traits)} if traits else {}, "sources": sources})
