"""Campaign parameters: those the client names, otherwise ``utm_…`` of the page's address."""

from collections.abc import Mapping

from millrace.enrichment.urls import parameters

FIELDS = ("source", "medium", "name", "term", "content", "id")
READS = (*(f"context.campaign.{field}" for field in FIELDS), "context.page.url", "properties.url", "context.page.search", "properties.search")
_PARAMETERS = tuple(f"utm_{'campaign' if field == 'name' else field}" for field in FIELDS)


def campaign(*values: str | None) -> Mapping[str, str | None]:
    """The six fields by path. Values are those at READS; a field the client leaves empty is looked for in the address."""
    told, found = values[: len(FIELDS)], parameters(*values[len(FIELDS) :])
    return {f"enriched.campaign.{field}": (own or "").strip() or found.get(name) for field, own, name in zip(FIELDS, told, _PARAMETERS, strict=True)}
