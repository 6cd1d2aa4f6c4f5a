"""Windows and calendars by literal days: leap days, clocks that change, days that a zone has not had. The random ones are in tests/laws."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.times import micros
from millrace.traits.windows import CALENDAR, LOCAL_DAY, Window
from millrace.traits.zones import date_of, day_of, day_start, local_day, local_days

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe", "America/Havana", "Africa/Monrovia"]
INSTANTS = st.integers(0, 4_102_444_800) | st.sampled_from([1_325_239_200, 63_593_070, 1_143_358_260, 1_162_350_060]).flatmap(lambda at: st.integers(at - 90_000, at + 90_000))


def days_of(window: Window, at: str) -> tuple[date, date]:
    """First and last day of a window."""
    first, until = window.tiles(micros(datetime.fromisoformat(at)))
    return date_of(first), date_of(until - 1)


@pytest.mark.parametrize(
    ("name", "at", "first", "last"),
    [
        ("today", "2024-02-29T12:00:00+00:00", "2024-02-29", "2024-02-29"),
        ("yesterday", "2024-03-01T00:00:00+00:00", "2024-02-29", "2024-02-29"),
        ("this_month", "2024-02-29T23:59:59+00:00", "2024-02-01", "2024-02-29"),
        ("previous_month", "2024-03-31T12:00:00+00:00", "2024-02-01", "2024-02-29"),
        ("previous_month", "2025-03-31T12:00:00+00:00", "2025-02-01", "2025-02-28"),
        ("previous_month", "2025-01-01T00:00:00+00:00", "2024-12-01", "2024-12-31"),
        ("this_week", "2024-03-03T12:00:00+00:00", "2024-02-26", "2024-03-03"),  # a Sunday: the week began on Monday, before the leap day
        ("previous_week", "2025-01-01T12:00:00+00:00", "2024-12-23", "2024-12-29"),
        ("this_year", "2024-12-31T12:00:00+00:00", "2024-01-01", "2024-12-31"),
        ("previous_year", "2025-02-28T12:00:00+00:00", "2024-01-01", "2024-12-31"),
        ("previous_year", "2024-02-29T12:00:00+00:00", "2023-01-01", "2023-12-31"),
    ],
)
def test_a_window_of_the_calendar_is_its_days(name, at, first, last):
    assert tuple(day.isoformat() for day in days_of(Window(name), at)) == (first, last)


@pytest.mark.parametrize(
    ("zone", "at", "day"),
    [
        ("Europe/Berlin", "2026-03-28T22:59:59+00:00", "2026-03-28"),
        ("Europe/Berlin", "2026-03-28T23:00:00+00:00", "2026-03-29"),  # winter time until two hours later
        ("Europe/Berlin", "2026-03-29T22:00:00+00:00", "2026-03-30"),  # summer time: midnight is an hour earlier
        ("America/New_York", "2026-11-01T03:59:59+00:00", "2026-10-31"),
        ("America/New_York", "2026-11-02T04:59:59+00:00", "2026-11-01"),  # the day of 25 hours
        ("Pacific/Apia", "2011-12-30T09:59:59+00:00", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30T10:00:00+00:00", "2011-12-31"),  # there was no 30th
        ("Asia/Kathmandu", "2026-01-01T18:15:00+00:00", "2026-01-02"),
        ("America/St_Johns", "2006-10-29T02:30:30+00:00", "2006-10-29"),  # half a minute past midnight, before clocks went back an hour
        ("America/St_Johns", "2006-10-29T02:31:00+00:00", "2006-10-28"),  # so this day has two evenings
    ],
)
def test_a_day_is_what_clocks_show_there(zone, at, day):
    second = micros(datetime.fromisoformat(at)) // 1_000_000
    assert date_of(local_day(zone, second)).isoformat() == day
    assert local_days(zone, np.array([second, second]))[0] == day_of(date.fromisoformat(day))


@given(zone=st.sampled_from(ZONES), seconds=st.lists(INSTANTS, min_size=1, max_size=9))
def test_days_of_many_instants_are_the_dates_python_gives(zone, seconds):
    dates = [(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).astimezone(ZoneInfo(zone)).date() for second in seconds]
    assert local_days(zone, np.array(seconds)).tolist() == [day_of(day) for day in dates] == [local_day(zone, second) for second in seconds]


@given(zone=st.sampled_from(ZONES[:5]), second=INSTANTS)
def test_a_day_begins_when_its_date_first_shows(zone, second):
    start = day_start(zone, local_day(zone, second))
    assert start <= second
    assert local_day(zone, start - 1) < local_day(zone, start) == local_day(zone, second) or zone == "America/St_Johns"


@pytest.mark.parametrize("name", CALENDAR)
def test_a_calendar_of_utc_is_kept_in_the_tiles_of_a_day_that_there_are(name):
    assert Window(name).hop == 86_400
    assert Window(name, zone="Europe/Berlin").hop == LOCAL_DAY


@given(at=st.integers(0, 4 * 10**15), length=st.integers(1, 400), ago=st.integers(1, 400), unit=st.sampled_from("hd"))
def test_a_shifted_window_ends_where_the_window_of_that_length_begins(at, length, ago, unit):
    first, until = Window(f"{length}{unit}", f"{ago}{unit}").tiles(at)
    assert until == Window(f"{ago}{unit}").tiles(at)[0]
    assert until - first == length


def test_the_end_of_a_window_of_the_calendar_is_local_midnight():
    at = micros(datetime(2026, 3, 29, 12, tzinfo=UTC))
    assert Window("today", zone="Europe/Berlin").end(at) == micros(datetime(2026, 3, 29, 22, tzinfo=UTC))
