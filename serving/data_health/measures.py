"""The measures of a window: a tally in, numbers with what they stand on out. judging.py compares them with history; docs/data_health.md explains them."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from millrace.identity.nodes import NAMESPACES
from millrace.times import time_text
from serving.data_health.fields import Field
from serving.data_health.tally import ABSENT, OTHER, Tally, seconds_of_step

RECEIVED, DUPLICATES, REJECTS, LATE = "received", "duplicate_share", "reject_share", "late_share"
MEDIAN, P95 = "lateness_median", "lateness_p95"
NULLS = "null_share"
EVENT_MIX, TYPE_MIX, VALUE_MIX = "event_mix", "type_mix", "value_mix"
MIXES = (EVENT_MIX, TYPE_MIX, VALUE_MIX)
EVERYBODY = "*"
"""The tenant as a whole: no source can be called that."""
ANOMALY, NORMAL, LEARNING = "anomaly", "normal", "learning"
MOST_SHOWN = 200
"""Names of a mix that are kept; the others are one."""


class Measured(NamedTuple):
    """``observed``: the number, of a mix nothing yet; ``records`` it stands on; ``noise``: standard error of a lateness, on the scale of its band; ``counts``: of a
    mix, and what a share is made of; ``details``: further figures as JSON."""

    measure: str
    about: str | None
    observed: float | None
    records: int
    noise: float = 0.0
    counts: Counter[str] | None = None
    details: str | None = None


def measures_of(tally: Tally, fields: Sequence[Field]) -> Iterator[Measured]:
    """Of a window without a record only that there was none: what nothing was sent of has no share."""
    figures = {"accepted": tally.accepted, "duplicate": tally.duplicate, "rejected": tally.rejected}
    last = {"last_received_at": time_text(tally.last_received)} if tally.last_received else {}
    yield Measured(RECEIVED, None, float(tally.received), tally.received, details=json.dumps(figures | last))
    if tally.received:
        yield Measured(REJECTS, None, tally.rejected / tally.received, tally.received, details=json.dumps(dict(sorted(tally.reasons.items()))) if tally.rejected else None)
        yield from (Measured(REJECTS, reason, count / tally.received, tally.received) for reason, count in sorted(tally.reasons.items()))
    if taken := tally.accepted + tally.duplicate:
        yield Measured(DUPLICATES, None, tally.duplicate / taken, taken)
    if tally.accepted:
        yield from _lateness(tally)
        for namespace in NAMESPACES:
            yield Measured(NULLS, namespace, 1 - tally.namespaces[namespace] / tally.accepted, tally.accepted)
        yield Measured(EVENT_MIX, None, None, tally.accepted, counts=_most(tally.events.counts))
        yield Measured(TYPE_MIX, None, None, tally.accepted, counts=Counter(tally.types))
        yield from _values(tally, fields)


def _values(tally: Tally, fields: Sequence[Field]) -> Iterator[Measured]:
    for number, counts in sorted(tally.fields.items()):
        about, records = fields[number].about, counts.total()
        yield Measured(NULLS, about, counts[ABSENT] / records, records)
        if present := records - counts[ABSENT]:
            yield Measured(VALUE_MIX, about, None, present, counts=Counter({str(bucket): count for bucket, count in counts.items() if bucket != ABSENT}))


def _lateness(tally: Tally) -> Iterator[Measured]:
    """The median of at least ten events, the 95th percentile of at least sixty: below, one event decides."""
    steps = np.array(sorted(tally.lateness), np.int64)
    ends = np.cumsum([tally.lateness[step] for step in steps.tolist()])
    records = int(ends[-1])
    for measure, share, least in ((MEDIAN, 0.5, 10), (P95, 0.95, 60)):
        if records < least:
            continue
        spread = math.sqrt(records * share * (1 - share))
        low, middle, high = (_at(steps, ends, rank) for rank in (records * share - spread, records * share, records * share + spread))
        noise = (math.asinh(high) - math.asinh(low)) / 2
        yield Measured(measure, None, middle, records, noise=max(noise, 0.2 / math.sqrt(records)))
    yield Measured(LATE, None, tally.late / records, records)


def _at(steps: np.ndarray, ends: np.ndarray, rank: float) -> float:
    """The value of a rank, in seconds: the smallest with so many at or below it."""
    place = np.searchsorted(ends, max(1, math.ceil(rank)))
    return seconds_of_step(float(steps[min(int(place), len(steps) - 1)]))


def _most(counts: Counter[str]) -> Counter[str]:
    ordered = sorted(counts, key=lambda name: (name == OTHER, -counts[name], name))
    found = Counter({name: counts[name] for name in ordered[:MOST_SHOWN]})
    found[OTHER] += sum(counts[name] for name in ordered[MOST_SHOWN:])
    return +found
