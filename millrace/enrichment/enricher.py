"""The enriched values that states ask for, of a column of messages. Both layers compute them here (events/values.py), from the same messages under the same rules.

A family of values is computed once for all its paths, and once for each distinct input; families nobody asks for are not loaded.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from millrace.enrichment.paths import FAMILY_OF, PREFIX, families_of
from millrace.enrichment.rules import Enrichment, versions_here
from millrace.errors import ConfigurationError

if TYPE_CHECKING:
    from millrace.enrichment.money import Converter
    from millrace.events.messages import Messages

Found = Mapping[str, str | None]
KEPT = 20_000
"""Distinct inputs of a family whose values are remembered from epoch to epoch."""
LONGEST_KEPT = 1_000
"""Characters of an input that is remembered; a longer one is computed once an epoch."""


class Enricher:
    """Computes the asked paths under rules; ConfigurationError when these were made with other libraries, or name files that are not here."""

    def __init__(self, specs: Sequence[tuple[str, str]], rules: Enrichment) -> None:
        self._specs = [spec for spec in specs if spec[0] in FAMILY_OF]
        families = families_of(path for path, _ in self._specs)
        if problems := [*rules.problems_with(families), *_other_versions(rules, families)]:
            raise ConfigurationError(problems)
        self._families = {family: _family(family, rules) for family in families if family != "money"}
        self._converter = _converter(rules) if "money" in families else None
        self._amounts = sorted({path.removeprefix(PREFIX).removesuffix("_problem") for path, _ in self._specs if FAMILY_OF[path] == "money"})
        self._asked = {path for path, _ in self._specs}
        money = ("properties.currency", *(f"properties.{amount}" for amount in self._amounts)) if self._converter else ()
        self.inputs = tuple(sorted({*money, *(path for reads, _ in self._families.values() for path in reads)}))

    def values(self, messages: "Messages", times: Sequence[int]) -> dict[str, list[str | None]]:
        """By path, one a message; numbers as their exact text. ``times``: of the events, microseconds since 1970. An amount that cannot be converted is told to
        ``messages`` as well."""
        columns: dict[str, list[str | None]] = {path: messages.value(path, "string").to_pylist() for path in self.inputs}
        found: dict[str, list[str | None]] = {}
        for family, (reads, compute) in self._families.items():
            paths = [path for path in self._asked if FAMILY_OF[path] == family]
            keys = list(zip(*(columns[path] for path in reads), strict=True))
            distinct = {key: compute(*key) for key in dict.fromkeys(keys)}
            found |= {path: [distinct[key][path] for key in keys] for path in paths}
        if self._converter:
            found |= self._money(self._converter, messages, columns, times)
        return found

    def _money(self, converter: "Converter", messages: "Messages", columns: Mapping[str, list[str | None]], times: Sequence[int]) -> dict[str, list[str | None]]:
        found: dict[str, list[str | None]] = {}
        for amount in self._amounts:
            path, read = f"{PREFIX}{amount}", f"properties.{amount}"
            told = converter.converted(messages.value(read, "number").to_pylist(), columns[read], columns["properties.currency"], times)
            found[path] = [None if amount is None else f"{amount.normalize() + 0:f}" for amount, _ in told]
            found[f"{path}_problem"] = [problem for _, problem in told]
            for row, (_, problem) in enumerate(told):
                if problem is not None:
                    messages.untold.setdefault(path, {})[row] = problem
        return {path: values for path, values in found.items() if path in self._asked}


@lru_cache(8)
def enricher_of(specs: tuple[tuple[str, str], ...], rules: str) -> Enricher:
    """The one of these specs and rules (as JSON), made once in a process."""
    return Enricher(specs, Enrichment.model_validate_json(rules))


def _other_versions(rules: Enrichment, families: Sequence[str]) -> list[str]:
    here = versions_here()
    return [
        f"{family}: the definitions were made with {rules.versions.get(family, 'nothing')} and here is {here[family]}; load the definitions again, or install those versions"
        for family in families
        if rules.versions.get(family) != here[family]
    ]


def _family(name: str, rules: Enrichment) -> tuple[tuple[str, ...], Callable[..., Found]]:
    """What a family reads and how its values are found. Modules of families that are not asked for, and their libraries, are not imported."""
    if name in ("campaign", "click"):
        from millrace.enrichment import campaigns, clicks

        return (campaigns.READS, campaigns.campaign) if name == "campaign" else (clicks.READS, clicks.click)
    if name == "referrer":
        from millrace.enrichment import referrers

        return referrers.READS, _remembering(referrers.referrer_by(rules.referrer))
    if name == "agent":
        from millrace.enrichment import agents

        return agents.READS, _remembering(agents.agent)
    if name in ("phone", "email"):
        from millrace.enrichment import contacts

        by_phone = name == "phone"
        return (contacts.PHONE_READS, _remembering(contacts.phone_by(rules.phone))) if by_phone else (contacts.EMAIL_READS, _remembering(contacts.email_by(rules.email)))
    if name == "name":
        from millrace.enrichment import names

        return names.READS, _remembering(names.name)
    if name == "address":
        from millrace.enrichment import addresses

        return addresses.READS, _remembering(addresses.address_by(rules.country.languages))
    if name == "geography" and rules.geography is not None:
        from millrace.enrichment import geography

        return geography.READS, _remembering(geography.geography_by(rules.geography))
    from millrace.enrichment import country_names

    if name == "country":
        return country_names.COUNTRY_READS, country_names.country_by(rules.country.languages)
    return country_names.CURRENCY_READS, country_names.currency


def _converter(rules: Enrichment) -> "Converter | None":
    from millrace.enrichment.money import Converter

    return Converter(rules.money) if rules.money is not None else None


def _remembering(compute: Callable[..., Found]) -> Callable[..., Found]:
    """The function with a memory that is bounded in entries and in characters."""
    kept = lru_cache(KEPT)(compute)

    def found(*values: str | None) -> Found:
        return kept(*values) if sum(map(len, filter(None, values))) <= LONGEST_KEPT else compute(*values)

    return found
