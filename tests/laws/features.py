"""Features at instants of the past: what the product's pure parts say, and what an oracle in plain Python says that shares nothing with them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from batch.counted import repeated_rows
from batch.features.finishing import finished_features
from batch.features.in_driver import with_regions
from batch.features.knowledge import Knowledge
from batch.features.persons_then import QUESTION, members_then
from batch.features.windows_then import windows_then
from millrace.definitions import Definitions
from millrace.features import by_view, chosen_features
from millrace.identity.edges import edges_of
from millrace.traits.fold import value_column
from tests.laws import oracle_persons
from tests.laws.histories import SECRET, Choose, arrow_events
from tests.laws.oracle import Event, Log, Record, Traits, decimal_text, in_window, read_log, rules_of, typed
from tests.laws.oracle_traits import matches, value_of
from tests.laws.oracle_values import time_text
from tests.laws.product import RULES, declared

TTLS = {"1h": 3_600 * 10**6, "3d": 3 * 86_400 * 10**6}
Row = tuple[str, int, int]
"""A node, the instant, when it was known."""


@dataclass
class History:
    """A log with the time at which each epoch came to exist, decisions, and the traits that are asked for, each perhaps with a time to live."""

    records: list[Record]
    traits: Traits
    ttls: Mapping[str, str] = field(default_factory=dict)
    committed: list[int] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def log(self) -> Log:
        return read_log(self.records, SECRET)

    @property
    def definitions(self) -> Definitions:
        return Definitions.model_validate({"views": {"person": declared(self.traits)}})

    @property
    def features(self) -> list[str]:
        return [f"person__{name}" + (f":{self.ttls[name]}" if name in self.ttls else "") for name in self.traits]


def time(at: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def commits(records: Iterable[Record]) -> list[int]:
    """Each epoch comes to exist a second after its last record, or a microsecond after the one before."""
    times: list[int] = []
    records = list(records)
    for epoch in range(1, max((record.epoch for record in records), default=0) + 1):
        received = max((record.received_at for record in records if record.epoch == epoch), default=0)
        times.append(max(received + 10**6, times[-1] + 1 if times else 0))
    return times


def asked_of(history: History, rows: Sequence[Row], *, partitions: int = 1) -> list[dict[str, Any]]:
    """The features of each row, by the product's kernels over so many partitions."""
    chosen = chosen_features(history.features, history.definitions.views)
    views = by_view(chosen, history.definitions.views)
    accepted = history.log.accepted
    states = [state for view in views for state in view.view.states]
    events = arrow_events(accepted, states, value_column)
    counted = events.filter(pa.array(~repeated_rows(events, pa.array([], pa.binary()))))
    knowledge = Knowledge(np.array(history.committed, np.int64), history.decisions)
    distinct = sorted(set(rows))
    nodes, *times = zip(*distinct, strict=True) if distinct else ((), (), ())
    place = knowledge.place(*(np.array(column, np.int64) for column in times))
    question = pa.table([pa.array(nodes, pa.string()), *(pa.array(column, pa.int64()).cast(QUESTION.field("at").type) for column in times)], schema=QUESTION)
    for name in place.column_names:
        question = question.append_column(name, place[name])
    members = members_then(with_regions(edges_of(counted), question, RULES, knowledge.decided), RULES, knowledge.decided, at_once=5)
    windows = [
        windows_then(pa.concat_tables([_of(counted, part, partitions), _of(members, part, partitions)], promote_options="default"), views, at_once=7)
        for part in range(partitions)
        if len(_of(members, part, partitions))
    ]
    if not windows:
        return [dict.fromkeys(feature.name for feature in chosen) for _ in rows]
    found = finished_features(pa.concat_tables(windows), views)
    assert len(found) == len(set(zip(*(found[name].to_pylist() for name in QUESTION.names), strict=True)))
    by_question = {(row["asked"], row["at"], row["known_at"]): row for row in found.to_pylist()}
    nothing: dict[str, Any] = {}
    return [
        {feature.name: shown(by_question.get((node, time(at), time(known_at)), nothing).get(feature.name)) for feature in chosen} for node, at, known_at in rows
    ]


def _of(rows: pa.Table, part: int, partitions: int) -> pa.Table:
    """Rows of the nodes of one partition."""
    return rows.filter(pa.array([int(node[-8:], 16) % partitions == part for node in rows["node"].to_pylist()], pa.bool_()))


def shown(value: Any) -> Any:
    """A typed value as the oracle writes it."""
    if isinstance(value, Decimal):
        return decimal_text(int(value.scaleb(9, Context(prec=60))))
    if isinstance(value, datetime):
        return time_text((value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
    if isinstance(value, list):
        return [shown(one) for one in value]
    return {key: shown(one) for key, one in value.items()} if isinstance(value, dict) else value


def expected(history: History, row: Row) -> dict[str, Any]:
    """The features of a row from the records themselves: what was in the log by then, of whom it was known by then, what had happened by then."""
    node, at, known_at = row
    head, head_then = (sum(committed <= when for committed in history.committed) for when in (known_at, at))
    in_log = [event for event in history.log.counted if event.record.epoch <= head]
    pairs = [(event.nodes[0], other, event.record.position) for event in in_log for other in event.nodes[1:] or event.nodes]
    persons = oracle_persons.judge(pairs, rules_of(SECRET), decided_by(history.decisions, known_at)).members.values()
    members = next((nodes for nodes in persons if node in nodes), None)
    if members is None:
        return {f"person__{name}": None for name in history.traits}
    known = [event for event in in_log if event.nodes[0] in members and (event.record.epoch <= head_then or event.event_time <= at)]
    return {f"person__{name}": living(history, name, known, at) for name in history.traits}


def living(history: History, name: str, events: list[Event], at: int) -> Any:
    trait = history.traits[name]
    if name in history.ttls:
        kind = "time" if trait["value"] == "event_time" else trait.get("value_type", "string")
        said = [event.event_time for event in events if matches(trait, event) and in_window(trait, event.event_time, at) and typed(event, trait["value"], kind) is not None]
        if said and at - max(said) > TTLS[history.ttls[name]]:
            return None
    return value_of(trait, events, at)


def decided_by(decisions: Iterable[Mapping[str, Any]], known_at: int) -> oracle_persons.Decided:
    """What stands of the decisions made by then: of several about a pair the newest."""
    made = [row for row in decisions if (row["decided_at"] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) <= known_at]
    withdrawn = {row["withdraws"] for row in made}
    pairs: dict[tuple[str, str], str] = {}
    removed = set()
    for row in made:
        if row["decision_id"] in withdrawn:
            continue
        if row["kind"] == "remove":
            removed.add(row["a"])
        elif row["kind"] in ("join", "part"):
            pairs[min(row["a"], row["b"]), max(row["a"], row["b"])] = row["kind"]
    return oracle_persons.Decided(*(frozenset(pair for pair, what in pairs.items() if what == kind) for kind in ("join", "part")), frozenset(removed))


def some_decisions(choose: Choose, nodes: Sequence[str], times: Sequence[int]) -> list[dict[str, Any]]:
    """A few decisions about nodes of the log, in the order in which they were made."""
    made = []
    for number, at in enumerate(sorted(times[choose(len(times))] + choose(3) - 1 for _ in range(choose(4))), 1):
        kind = ("join", "part", "join", "remove", "withdraw")[choose(5)]
        a, b = nodes[choose(len(nodes))], nodes[choose(len(nodes))]
        if (kind in ("join", "part") and a == b) or (kind == "withdraw" and number == 1):
            kind = "remove"
        made.append({"decision_id": number, "decided_at": time(at), "kind": kind, "a": a, "b": b if kind in ("join", "part") else None, "withdraws": 1 if kind == "withdraw" else None})
    return made


__all__ = ["History", "Row", "asked_of", "commits", "expected", "shown", "some_decisions", "time"]
