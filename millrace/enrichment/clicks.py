"""Click ids that advertising networks add to the page's address."""

from collections.abc import Mapping

from millrace.enrichment.texts import digest_of
from millrace.enrichment.urls import parameters

READS = ("context.page.url", "properties.url", "context.page.search", "properties.search")
NETWORKS: Mapping[str, str] = {
    "gclid": "google", "wbraid": "google", "gbraid": "google", "dclid": "google", "msclkid": "microsoft", "fbclid": "meta", "ttclid": "tiktok", "twclid": "x",
    "li_fat_id": "linkedin", "epik": "pinterest", "sccid": "snapchat", "rdt_cid": "reddit", "yclid": "yandex", "irclickid": "impact", "vmcid": "yahoo", "qclid": "quora",
}  # fmt: skip
"""By parameter; of several on one address the first of this list counts."""


def click(*values: str | None) -> Mapping[str, str | None]:
    """Network, parameter and id of the click; values are those at READS."""
    found = parameters(*values)
    name = next((name for name in NETWORKS if name in found), None)
    return {"enriched.click.network": NETWORKS[name] if name else None, "enriched.click.parameter": name, "enriched.click.id": found[name] if name else None}


def table_digest() -> str:
    """Changes with the networks, and with their order."""
    return digest_of(list(NETWORKS.items()))
