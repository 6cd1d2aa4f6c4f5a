"""The paths under ``enriched.`` and which family of rules each belongs to. Declarations of traits and filters are checked against them; nothing here needs a library."""

from collections.abc import Iterable, Mapping

from millrace.yaml_files import did_you_mean

PREFIX = "enriched."
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "campaign": ("campaign.source", "campaign.medium", "campaign.name", "campaign.term", "campaign.content", "campaign.id"),
    "click": ("click.network", "click.parameter", "click.id"),
    "referrer": ("referrer.class", "referrer.name", "referrer.domain"),
    "agent": ("agent.browser", "agent.browser_version", "agent.os", "agent.os_version", "agent.device", "agent.is_bot", "agent.bot"),
    "phone": ("phone", "phone_country"),
    "email": ("email", "email_domain", "email_is_valid"),
    "name": ("name.first", "name.last", "name.full"),
    "address": ("address.street", "address.city", "address.postal_code", "address.region", "address.country"),
    "country": ("country",),
    "currency": ("currency",),
    "money": ("revenue", "revenue_problem", "total", "total_problem", "value", "value_problem"),
    "geography": ("geography.country", "geography.region", "geography.city"),
}
FAMILY_OF: Mapping[str, str] = {f"{PREFIX}{name}": family for family, names in FAMILIES.items() for name in names}


def is_known(path: str) -> bool:
    """Whether it is a path of the message itself (any is) or one that is enriched."""
    return not path.startswith(PREFIX) or path in FAMILY_OF


def unknown_path(path: str) -> str:
    """What is wrong with an enriched path that is none."""
    return f"{path!r} is no enriched value{did_you_mean(path, FAMILY_OF)}; there are {', '.join(sorted(FAMILY_OF))}"


def families_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The families that paths belong to, in one order; those of a message belong to none."""
    return tuple(sorted({FAMILY_OF[path] for path in paths if path in FAMILY_OF}))
