"""Judges a window that is final: its tallies and history in, rows of serving/data_health out. following.py calls it for one window after another."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from millrace.times import MICROS, instant_of
from serving.data_health.bands import Band, band_of
from serving.data_health.divergence import divergence
from serving.data_health.fields import Field
from serving.data_health.history import History, Point, Series
from serving.data_health.measures import (
    ANOMALY,
    DUPLICATES,
    EVENT_MIX,
    EVERYBODY,
    LATE,
    LEARNING,
    MEDIAN,
    NORMAL,
    NULLS,
    P95,
    RECEIVED,
    REJECTS,
    TYPE_MIX,
    VALUE_MIX,
    Measured,
    measures_of,
)
from serving.data_health.scales import Counts, Distances, Scale, Shares, Times
from serving.data_health.sentences import sentence_of
from serving.data_health.tally import Tally

SCALES: Mapping[str, Scale] = {
    RECEIVED: Counts(), **dict.fromkeys((REJECTS, DUPLICATES, LATE, NULLS), Shares()), **dict.fromkeys((MEDIAN, P95), Times()),
    **dict.fromkeys((EVENT_MIX, TYPE_MIX, VALUE_MIX), Distances()),
}  # fmt: skip
COMPARABLE = 6
"""Windows without which there is no mix of history."""
Row = dict[str, Any]


class Window(NamedTuple):
    """From ``start`` to before ``end``, in seconds since 1970."""

    start: int
    end: int


def judge_window(window: Window, tallies: Mapping[str, Tally], history: History, fields: Sequence[Field], *, head: int) -> list[Row]:
    """Rows of every source that sent something, or did within what is remembered, and of the tenant as a whole; what they hold is history from then on."""
    known = history.sources(window.start)
    if not known and not tallies:
        return []
    whole = Tally()
    for tally in tallies.values():
        whole.merge(tally)
    rows = []
    for source, tally in [(EVERYBODY, whole), *((name, tallies.get(name, Tally())) for name in sorted({*known, *tallies} - {EVERYBODY}))]:
        rows += [_judged(window, source, one, history, head) for one in _with_silent_reasons(measures_of(tally, fields), history.reasons(source, window.start))]
    return rows


def _with_silent_reasons(measures: Iterator[Measured], reasons: list[str]) -> list[Measured]:
    """With the reasons for which nothing was rejected now, and records were before."""
    found = list(measures)
    seen = {one.about for one in found if one.measure == REJECTS}
    return found + [Measured(REJECTS, reason, 0.0, found[0].records) for reason in sorted({*reasons} - seen) if found[0].records]


def _judged(window: Window, source: str, one: Measured, history: History, head: int) -> Row:
    length, series = window.end - window.start, history.of((source, one.measure, one.about), window.start)
    past = series.past(window.start)
    since, allowance, details = series.since, 0.0, one.details
    if one.counts is not None:
        details = json.dumps(dict(sorted(one.counts.items())))
        if series.mixed >= COMPARABLE:
            found = divergence(one.counts, series.reference)
            one, allowance = one._replace(observed=found.bits, noise=found.noise), found.noise + found.allowance
    band = None if one.observed is None else band_of(past, SCALES[one.measure], start=window.start, records=one.records, noise=one.noise, allowance=allowance)
    state = _state(one, band)
    series.add(Point(window.start, one.observed, one.records, one.noise, state, one.counts), length)
    began = _began(series, state, window)
    return {
        "window": window.end, "source": source, "measure": one.measure, "about": one.about, "window_start": instant_of(window.start * MICROS),
        "window_end": instant_of(window.end * MICROS), "observed": one.observed, "expected_low": band and band.low, "expected_high": band and band.high,
        "records": one.records, "state": state, "anomaly_since": None if began is None else instant_of(began * MICROS),
        "learned_windows": len(past.starts), "learned_by": band and band.by, "history_since": instant_of(since * MICROS), "noise": one.noise, "details": details,
        "sentence": sentence_of(source, one, band, window) if band and state == ANOMALY else None, "head": head,
    }  # fmt: skip


def _state(one: Measured, band: Band | None) -> str:
    if band is None or one.observed is None:
        return LEARNING
    is_two_sided = SCALES[one.measure].is_two_sided
    return ANOMALY if one.observed > band.high or (is_two_sided and one.observed < band.low) else NORMAL


def _began(series: Series, state: str, window: Window) -> int | None:
    return None if state != ANOMALY else window.start if series.anomaly_since is None else series.anomaly_since
