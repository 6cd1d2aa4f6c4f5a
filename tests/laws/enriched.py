"""Random histories with what enriched values are made of: user agents, addresses, currencies beside the phones and e-mails that histories have anyway."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from millrace.enrichment.rules import Enrichment
from tests.laws.histories import Choose
from tests.laws.oracle import Record

AGENTS = (
    None, "curl/8.4.0", "", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", 7, "💥",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
)  # fmt: skip
URLS = ("https://shop.example.org/?utm_source=a&utm_source=b&gclid=1", "https://shop.example.org/?utm_medium=caf%C3%A9", "http://[::1", "/a", None, 5)
REFERRERS = ("https://www.google.de/", "https://t.co/a", "https://shop.example.org/b", "https://Straße.example/", "  ", None, {"url": "x"})
CURRENCIES = ('"USD"', '"usd"', '"EUR"', '"CHF"', '"$"', "null", "5")
RATES = "date,currency,rate\n2026-02-27,USD,0.333333333333333\n2026-03-01,USD,0.925\n2026-03-03,USD,1.000000001\n2026-03-01,CHF,1.07\n"
TRAITS: dict[str, dict[str, Any]] = {
    "euros": {"op": "sum", "value": "enriched.revenue"},
    "euros_2d": {"op": "avg", "value": "enriched.revenue", "window": "2d"},
    "told": {"op": "last", "value": "enriched.revenue_problem"},
    "without_rate": {"op": "count", "where": {"enriched.revenue_problem": ["no_rate", "unknown_currency"]}},
    "dear": {"op": "count", "where": {"enriched.revenue": {"gte": 9.25}}, "window": "3d"},
    "phone": {"op": "last", "value": "enriched.phone"},
    "domains": {"op": "unique_list", "value": "enriched.email_domain"},
    "sources": {"op": "histogram", "value": "enriched.campaign.source", "window": "9d"},
    "clicks": {"op": "count", "where": {"enriched.click.id": {"exists": True}}},
    "by_people": {"op": "count", "where": "not enriched.agent.is_bot"},
    "ways": {"op": "top_k", "value": "enriched.referrer.class"},
    "newest_browser": {"op": "max", "value": "enriched.agent.browser_version", "value_type": "number"},
}


def rules(folder: Path) -> Enrichment:
    """Of a tenant whose file of rates lies in the folder."""
    (folder / "rates.csv").write_text(RATES, encoding="utf-8")
    declared = {
        "phone": {"default_region": "DE"}, "money": {"currency": "EUR", "rates": "rates.csv", "carry_days": 1}, "referrer": {"classes": {"t.co": "other"}},
    }  # fmt: skip
    return Enrichment.model_validate(declared, context={"directory": folder})


def with_more(record: Record, choose: Choose) -> Record:
    """The record's message with more in it; a context of its own counts instead."""
    page = {"url": URLS[choose(len(URLS))], "referrer": REFERRERS[choose(len(REFERRERS))]}
    context = {"userAgent": AGENTS[choose(len(AGENTS))], "page": {name: value for name, value in page.items() if value is not None}}
    value = (record.value or b"").replace(b'"product":', b'"currency":%s,"product":' % CURRENCIES[choose(len(CURRENCIES))].encode(), 1)
    return replace(record, value=b'{"context":%s,%s' % (json.dumps(context).encode(), value[1:]) if value.startswith(b"{") else value)
