"""Where a visit comes from: the class, name and domain of the page's referrer."""

from collections.abc import Callable, Mapping

from millrace.enrichment.referrer_hosts import known_host, nearest
from millrace.enrichment.rules import ReferrerRules
from millrace.enrichment.texts import first_filled
from millrace.enrichment.urls import host_of

READS = ("context.page.referrer", "properties.referrer", "context.referrer.url", "context.page.url", "properties.url")


def referrer_by(rules: ReferrerRules) -> Callable[..., Mapping[str, str | None]]:
    """Values are those at READS. In this order: hosts the tenant names, the page's own host (internal), hosts Millrace knows, other. A page without a referrer is
    ``direct``; what is neither a page nor has a referrer has no class."""
    own = {**dict.fromkeys(rules.internal, "internal"), **rules.classes}

    def judged(host: str, page: str | None) -> tuple[str, str | None]:
        known = known_host(host)
        if told := nearest(host, own):
            return told, known[1] if known else None
        if page is not None and host.removeprefix("www.") == page.removeprefix("www."):
            return "internal", None
        return known or ("other", None)

    def referrer(*values: str | None) -> Mapping[str, str | None]:
        text = first_filled(values[:3])
        page = next((host for value in values[3:] if (host := host_of(value))), None)
        host = host_of(text)
        if text is None:
            kind, name = (None if page is None else "direct"), None
        else:
            kind, name = ("other", None) if host is None else judged(host, page)
        return {"enriched.referrer.class": kind, "enriched.referrer.name": name, "enriched.referrer.domain": host}

    return referrer
