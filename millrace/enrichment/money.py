"""Amounts in one reporting currency by dated rates, in exact decimals. An amount that cannot be converted is null and says why (``…_problem``); nothing is guessed."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from millrace.enrichment.country_names import currency_code
from millrace.enrichment.rate_table import RateTable, read_rates
from millrace.enrichment.rules import MoneyRules
from millrace.errors import ConfigurationError

AMOUNTS = ("revenue", "total", "value")
CURRENCY = "properties.currency"
NO_AMOUNT, NO_CURRENCY, UNKNOWN_CURRENCY, NO_RATE, TOO_LARGE = "not_a_number", "no_currency", "unknown_currency", "no_rate", "too_large"
_DAY = 86_400_000_000
_PLACES = Decimal("1e-9")
_LIMIT = Decimal(10) ** 15
_EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
_KEPT = 50_000
Told = tuple[Decimal | None, str | None]
"""An amount in the reporting currency, and why there is none although the message has one."""


class Converter:
    """Converts under a tenant's rules; ConfigurationError when the file of rates is not the one of the definitions, or is wrong."""

    def __init__(self, rules: MoneyRules) -> None:
        self._rules = rules
        self._table = _table(rules)
        self._rate = lru_cache(_KEPT)(self._found_rate)

    def converted(self, amounts: Sequence[Decimal | None], texts: Sequence[str | None], currencies: Sequence[str | None], times: Sequence[int]) -> list[Told]:
        """Each amount (decimal of nine digits) by the rate of the UTC day of its event; ``texts``: what stands where it was looked for; ``times``: microseconds since 1970."""
        rows = zip(amounts, texts, currencies, times, strict=True)
        return [self._one(amount, currency, time // _DAY) if amount is not None else (None, None if text is None else NO_AMOUNT) for amount, text, currency, time in rows]

    def _one(self, amount: Decimal, currency: str | None, day: int) -> Told:
        rate = self._rate(currency, day)
        if isinstance(rate, str):
            return None, rate
        found = _EXACT.multiply(amount, rate).quantize(_PLACES, context=_EXACT)
        return (found, None) if abs(found) < _LIMIT else (None, TOO_LARGE)

    def _found_rate(self, currency: str | None, day: int) -> Decimal | str:
        """The rate, or why there is none."""
        text = (currency or "").strip()
        code = (currency_code(text) or text.upper()) if text else self._rules.assume
        if code is None:
            return NO_CURRENCY
        if code == self._rules.currency:
            return Decimal(1)
        if code not in self._table.days and currency_code(code) is None:
            return UNKNOWN_CURRENCY
        return self._table.rate(code, day, self._rules.carry_days) or NO_RATE


def _table(rules: MoneyRules) -> RateTable:
    table = read_rates(rules.rates.content(), rules.currency)
    if table.problems:
        raise ConfigurationError(table.problems)
    return table
