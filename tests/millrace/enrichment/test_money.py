"""Amounts in one currency by dated rates: exact, and told when there is no rate."""

from decimal import Decimal

import pytest

from millrace.enrichment.rules import Enrichment
from millrace.errors import ConfigurationError
from tests.millrace.enrichment.enriched import family, read, rules

RATES = "date,currency,rate\n2026-03-02,USD,0.925\n2026-03-02,JPY,0.00617\n2026-03-05,USD,0.9\n2026-03-02,GBP,1.2\n2026-03-02,BTC,58000.5\n"
REVENUE = [("enriched.revenue", "number"), ("enriched.revenue_problem", "string")]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rates.csv").write_text(RATES, encoding="utf-8")
    return tmp_path


def euros(folder, **more) -> Enrichment:
    return rules(folder, money={"currency": "EUR", "rates": "rates.csv", **more})


@pytest.mark.parametrize(
    ("revenue", "currency", "at", "amount", "problem"),
    [
        pytest.param(10, "USD", "2026-03-02T00:00:00Z", "9.25", None, id="first instant of the day"),
        pytest.param(10, "USD", "2026-03-02T23:59:59Z", "9.25", None, id="last second of the day"),
        pytest.param(10, "USD", "2026-03-02T23:59:59-01:00", None, "no_rate", id="the day is that of UTC"),
        pytest.param(10, "USD", "2026-03-03T00:00:00Z", None, "no_rate", id="a day without a rate"),
        pytest.param(10, "USD", "2026-03-01T00:00:00Z", None, "no_rate", id="a day before all rates"),
        pytest.param(10.5, "EUR", "1999-01-01T00:00:00Z", "10.5", None, id="the reporting currency needs no rate"),
        pytest.param(10.5, " eur ", "2026-03-02T00:00:00Z", "10.5", None, id="a code in lower case"),
        pytest.param("19.99", "usd", "2026-03-02T00:00:00Z", "18.49075", None, id="an amount as text, exactly"),
        pytest.param(0.1, "USD", "2026-03-02T00:00:00Z", "0.0925", None, id="a double is its shortest decimal"),
        pytest.param(0.000000001, "USD", "2026-03-02T00:00:00Z", "0.000000001", None, id="rounded half up at nine digits"),
        pytest.param(-0.000000054, "JPY", "2026-03-02T00:00:00Z", "0", None, id="a small debt"),
        pytest.param(-100, "GBP", "2026-03-02T00:00:00Z", "-120", None, id="a refund"),
        pytest.param(2, "BTC", "2026-03-02T00:00:00Z", "116001", None, id="no ISO currency, but the file has it"),
        pytest.param(10, "CHF", "2026-03-02T00:00:00Z", None, "no_rate", id="a currency without rates"),
        pytest.param(10, "$", "2026-03-02T00:00:00Z", None, "unknown_currency", id="a sign of many currencies"),
        pytest.param(10, "ZZZ", "2026-03-02T00:00:00Z", None, "unknown_currency", id="a currency nobody knows"),
        pytest.param(10, None, "2026-03-02T00:00:00Z", None, "no_currency", id="no currency"),
        pytest.param("ten", "USD", "2026-03-02T00:00:00Z", None, "not_a_number", id="no number"),
        pytest.param(900_000_000_000_000, "GBP", "2026-03-02T00:00:00Z", None, "too_large", id="more than fits"),
        pytest.param(None, "ZZZ", "2026-03-02T00:00:00Z", None, None, id="no amount has no problem"),
    ],
)  # fmt: skip
def test_amount(folder, revenue, currency, at, amount, problem):
    message = {"properties": {"revenue": revenue, "currency": currency}}
    found, told = read([message], REVENUE, euros(folder), at=at)
    assert found == {"enriched.revenue": [None if amount is None else Decimal(amount)], "enriched.revenue_problem": [problem]}
    assert told.untold == ({} if problem is None else {"enriched.revenue": {0: problem}})


def test_the_text_of_an_amount_is_its_shortest_and_never_less_than_nothing_by_nothing(folder):
    amounts = (1000, 0.5, -0.000000054, "12.340")
    found = [family("money", {"properties": {"value": amount, "currency": "JPY"}}, euros(folder)) for amount in amounts]
    assert [one["value"] for one in found] == ["6.17", "0.003085", "0", "0.0761378"]


def test_a_rate_holds_as_long_as_the_tenant_says(folder):
    message = {"properties": {"revenue": 10, "currency": "USD"}}
    days = ("2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06", "2026-03-07")
    found = [family("money", message, euros(folder, carry_days=1), at=f"{day}T12:00:00Z") for day in days]
    assert [one.get("revenue") for one in found] == ["9.25", "9.25", None, "9", "9", None]


def test_an_assumed_currency_is_for_amounts_without_one(folder):
    under = euros(folder, assume="USD")
    assert family("money", {"properties": {"total": 10}}, under) == {"total": "9.25"}
    assert family("money", {"properties": {"total": 10, "currency": "?"}}, under) == {"total_problem": "unknown_currency"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", "its first line must be date,currency,rate", id="empty"), pytest.param("date;currency;rate\n", "first line must be", id="another separator"),
        pytest.param("date,currency,rate\n2026-02-30,USD,1\n", "line 2 of the file of rates: date '2026-02-30' is none", id="no date"),
        pytest.param("date,currency,rate\n2026-02-01,usd,1\n", "currency 'usd' is no code", id="no code"), pytest.param("date,currency,rate\n2026-02-01,EUR,1\n", "whose rate is 1", id="of itself"),
        pytest.param("date,currency,rate\n2026-02-01,USD,0\n", "is no number above 0", id="zero"), pytest.param('date,currency,rate\n2026-02-01,USD,"0,9"\n', "is no number above 0", id="a comma"),
        pytest.param("date,currency,rate\n2026-02-01,USD,1\n2026-02-01,USD,1\n", "line 3 of the file of rates: USD has a second rate for 2026-02-01", id="twice"),
        pytest.param("date,currency,rate\n2026-02-01,USD\n", "found 2 values, 3 are needed", id="a value is missing"),
        pytest.param("date,currency,rate\n" + "x,USD,1\n" * 9, "and 4 more lines", id="many"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_of_rates_is_told_when_definitions_are_loaded(tmp_path, text, problem):
    (tmp_path / "rates.csv").write_text(text, encoding="utf-8")
    assert problem in "\n".join(euros(tmp_path).file_problems())


def test_computing_with_another_file_than_the_definitions_name_is_refused(folder):
    under = euros(folder)
    (folder / "rates.csv").write_text(RATES.replace("0.925", "0.926"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"rates\.csv holds .* and the definitions were loaded when it held"):
        read([{}], REVENUE, under)
    (folder / "rates.csv").unlink()
    with pytest.raises(ConfigurationError, match=r"rates\.csv cannot be read here .* on every machine"):
        read([{}], REVENUE, under)
