"""A long synthetic history of two sources with days, weekends and noise, as tallies: what the watch would have counted. Damage is done to it by name."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from serving.data_health.fields import Field
from serving.data_health.history import History
from serving.data_health.judging import Window, judge_window
from serving.data_health.tally import Tally, lateness_steps
from tests.serving.data_health.logged import HOUR, START

FIELDS = (Field(None, "Order", "properties.revenue", "number"),)
USUAL: Mapping[str, Any] = {"times": 1.0, "nulls": 0.01, "repeated": 0.005, "lag": 1.0, "mix": (0.6, 0.3, 0.1), "rejected": 0.01}
"""Volume, share of orders without revenue, of repetitions, median seconds of lateness, mix of events, share rejected."""
Rows = list[dict[str, Any]]


@dataclass
class Seasons:
    """Hour by hour from ``hour`` on. ``level``: records of a usual hour; ``noise``: relative, besides that of counts."""

    level: float = 2_000
    noise: float = 0.1
    seed: int = 1
    hour: int = 0
    history: History = field(default_factory=History)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def run(self, hours: int, damage: Callable[[int], Mapping[str, Any]] = lambda hour: {}) -> Rows:
        """``damage``: what is unusual about the shop in an hour, counted from this call on."""
        rows: Rows = []
        for number in range(hours):
            rows += judge_window(Window(*self.window()), dict(self.tallies(damage(number))), self.history, FIELDS, head=1)
            self.hour += 1
        return rows

    def window(self) -> tuple[int, int]:
        return START + self.hour * HOUR, START + (self.hour + 1) * HOUR

    def tallies(self, damage: Mapping[str, Any]) -> Iterator[tuple[str, Tally]]:
        for number, source in enumerate(("app", "shop")):
            told = {**USUAL, **(damage if source == "shop" else {})}
            hour, day = (self.hour + 6 * number) % 24, self.hour // 24 % 7
            weekend = 0.5 if day in (0, 6) else 1.0
            expected = self.level * (1 + 0.7 * np.sin(2 * np.pi * hour / 24)) * weekend * np.exp(self.random.normal(0, self.noise))
            count = int(self.random.poisson(expected) * told["times"])
            if count:
                yield source, self.tally(count, told)

    def tally(self, count: int, told: Mapping[str, Any]) -> Tally:
        chance, found = self.random, Tally()
        found.duplicate = int(chance.binomial(count, told["repeated"]))
        found.rejected = int(chance.binomial(count - found.duplicate, told["rejected"]))
        found.accepted = accepted = count - found.duplicate - found.rejected
        found.reasons.update({"missing_identifier": found.rejected} if found.rejected else {})
        found.last_received = (self.window()[1] - 1) * 1_000_000
        late = np.where(chance.random(accepted) < 0.001, 90_000, np.sign(told["lag"]) * np.exp(chance.normal(np.log(abs(told["lag"])), 0.7, accepted)))
        found.late = int(np.count_nonzero(late > 86_400))
        found.lateness = counted(lateness_steps(late * 1e6))
        orders, views, pages = chance.multinomial(accepted, told["mix"]).tolist()
        found.events.add([(name, many) for name, many in (("track Order", orders), ("track View", views), ("page Home", pages)) if many])
        found.types.update({name: many for name, many in (("track", orders + views), ("page", pages)) if many})
        found.namespaces.update(user_id=int(chance.binomial(accepted, 0.5)), anonymous_id=int(chance.binomial(accepted, 0.9)), email=int(chance.binomial(accepted, 0.05)))
        if orders:
            nulls = int(chance.binomial(orders, told["nulls"]))
            values = enumerate(chance.multinomial(orders - nulls, [0.1] * 10).tolist())
            found.fields[0] = Counter({bucket: many for bucket, many in ((-1, nulls), *values) if many})
        return found

    def copy(self) -> "Seasons":
        return deepcopy(self)


def counted(values: np.ndarray) -> Counter[int]:
    found, counts = np.unique(values, return_counts=True)
    return Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))


def anomalies(rows: Rows, *, source: str | None = None, measure: str | None = None) -> Rows:
    return [row for row in rows if row["state"] == "anomaly" and source in (None, row["source"]) and measure in (None, row["measure"])]
