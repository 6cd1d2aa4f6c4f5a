"""Data with a term is used while the term runs and never after: batch ⊕ speed = the store = the oracle, before, at and after the end of every term; it joins nobody."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given
from hypothesis import strategies as st

from millrace.definitions import Definitions
from millrace.events.standard import Standardizer
from millrace.identity.edges import edges_of
from millrace.traits.fold import fold_events
from serving.store.layout import Layout, decode, encode
from serving.store.persons import Persons as StorePersons
from serving.store.plan import Plan
from tests.laws.batch_nodes import BatchNodes
from tests.laws.histories import DAY, HOUR, MINUTE, SECRET, START, Record, history
from tests.laws.law import chooser, law
from tests.laws.oracle import Event, answers, persons_of, read_log, rules_of
from tests.laws.oracle_parties import term_of
from tests.laws.parties import some_parties
from tests.laws.product import RULES, Persons, comparable, events_table, finished, merge_rows, python_rows

PEOPLE = rules_of(SECRET)
Told = tuple[list[Record], dict[str, Any], dict[str, Any], Definitions]


@st.composite
def tales(draw: st.DrawFn) -> Told:
    """Records, sources, traits as the oracle reads them, and definitions of both."""
    sources, traits, definitions = some_parties(chooser(draw(st.binary(min_size=1, max_size=24))))
    parts = draw(st.lists(st.binary(min_size=0, max_size=22), max_size=14))
    padded = b"".join(part.ljust(22, b"\0") for part in parts)
    return history(chooser(b"\0" + padded), len(parts), 4), sources, traits, definitions


@st.composite
def moments(draw: st.DrawFn, counted: list[Event], sources: dict[str, Any]) -> tuple[int, int]:
    """A time to answer for and the time of asking, about the ends of terms: to the microsecond, or a tile before and after."""
    ends = [event.event_time + term_of(name, sources) for event in counted for name in (event.source, *sources)] or [0]
    end = draw(st.sampled_from(ends))
    as_of = end + draw(st.sampled_from([0, -1, 1, -HOUR, HOUR, -DAY, DAY, -MINUTE])) + draw(st.sampled_from([0, 0, -(end % HOUR), HOUR - end % HOUR, -(end % DAY)]))
    return as_of, as_of + draw(st.sampled_from([0, 0, 1, HOUR, DAY, 5 * DAY]))


@law()
@given(tale=tales(), data=st.data(), cut=st.integers(0, 4))
def test_batch_and_speed_the_store_and_the_oracle_agree_about_what_has_a_term(tale, data, cut):
    records, sources, traits, definitions = tale
    view, log = definitions.views["person"], read_log(records, SECRET, sources)
    as_of, now = data.draw(moments(log.counted, sources))
    counted = events_table(log.counted, view)
    old, new = (counted.filter(side) for side in (pc.field("epoch") <= cut, pc.field("epoch") > cut))
    rows = [python_rows(fold_events(part, view.states), view.states) for part in (old, new, counted)]
    merged = merge_rows(rows[:2], view.states)
    assert comparable(merged, view.states) == comparable(rows[2], view.states)
    people = persons_of(log.counted, PEOPLE, sources)
    assert Persons().add(edges_of(old, definitions.terms)).add(edges_of(new, definitions.terms)).members() == people
    assert finished(merged, people, view, as_of) == answers(log.counted, traits, as_of, PEOPLE, sources)

    layout = Layout(view)
    persons = StorePersons(RULES)
    persons.apply(persons.prepare(edges_of(new, definitions.terms), base := BatchNodes(edges_of(old, definitions.terms), RULES)))
    slots = [{node: encode(found) for node, found in layout.fold(fold_events(part, view.states)).items()} for part in (old, new)]
    plan, expected = Plan(view, layout), answers(log.counted, traits, as_of, PEOPLE, sources, now)
    for person, members in people.items():
        found = persons.find(min(members), base)
        assert found is not None and {member.node for member in found.members} == members
        parts = [[decode(kept[node]) for node in sorted(members) if node in kept] for kept in slots]
        assert {name: answer.value for name, answer in plan.read(*parts, as_of, now).items()} == expected[person]
        until = plan.holds_until(*parts, as_of, now)
        assert until == 0 or until > now
        later = data.draw(st.integers(now, max(until - 1, now))) if until else now + 400 * DAY
        assert answers(log.counted, traits, as_of, PEOPLE, sources, later)[person] == expected[person]


@law(share=0.3)
@given(tale=tales(), data=st.data())
def test_no_answer_changes_when_what_is_over_is_taken_away(tale, data):
    """What makes it safe to delete: whatever a trait shows, it shows without the events whose term has ended."""
    records, sources, traits, definitions = tale
    view, log = definitions.views["person"], read_log(records, SECRET, sources)
    as_of, now = data.draw(moments(log.counted, sources))
    over = [event for event in log.counted if (term := term_of(event.source, sources)) and event.event_time + term <= now]
    kept = [event for event in log.counted if event not in over]
    people = persons_of(kept, PEOPLE, sources)
    assert people == persons_of(log.counted, PEOPLE, sources)
    plan = Plan(view, layout := Layout(view))
    for events in (log.counted, kept):
        slots = layout.fold(fold_events(events_table(events, view), view.states))
        for members in people.values():
            shown = plan.read([slots[node] for node in sorted(members) if node in slots], [], as_of, now)
            expected = answers(kept, traits, as_of, PEOPLE, sources, now)
            assert {name: answer.value for name, answer in shown.items()} == next(found for person, found in expected.items() if people[person] == members)


@law(share=0.3)
@given(tale=tales())
def test_what_was_over_when_it_came_is_rejected_and_no_term_begins_in_the_future(tale):
    records, sources, _, definitions = tale
    if not records:
        return
    ordered = sorted(records, key=lambda record: record.position)
    table = pa.table(
        {
            "partition": pa.array([record.partition for record in ordered], pa.int32()), "offset": pa.array([record.offset for record in ordered], pa.int64()),
            "received_at": pa.array([record.received_at for record in ordered], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "source": pa.array([record.source or "kafka" for record in ordered]), "payload": pa.array([record.value for record in ordered], pa.binary()),
        }
    )  # fmt: skip
    found = Standardizer(definitions.views["person"].states, SECRET, terms=definitions.terms).standardize(table)
    log = read_log(records, SECRET, sources)
    reasons = {record.position: reason for record, reason in log.rejected}
    assert found["reason"].to_pylist() == [reasons.get(record.position) for record in ordered]
    times = {event.record.position: event.event_time for event in log.accepted}
    for record, at in zip(ordered, found["event_time"].cast(pa.int64()).to_pylist(), strict=True):
        assert record.position not in times or times[record.position] == at
        assert record.position not in times or not definitions.terms.get(record.source or "kafka") or at <= record.received_at


def test_a_record_is_over_from_the_very_microsecond_on_which_its_term_ends():
    definitions = Definitions.model_validate({"views": {"person": {"key": "node", "traits": {"all": {"op": "count"}}}}, "sources": {"dmp": {"party": "third", "retention": "1d"}}})
    said = b'{"type": "page", "messageId": "m", "userId": "u1", "timestamp": "2026-03-01T00:00:00Z"}'
    came = [START + DAY - 1, START + DAY, START + DAY, START - 1]
    table = pa.table(
        {
            "partition": pa.array([0] * 4, pa.int32()), "offset": pa.array(range(4), pa.int64()), "received_at": pa.array(came, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "source": ["dmp", "dmp", "http", "dmp"], "payload": pa.array([said] * 4, pa.binary()),
        }
    )  # fmt: skip
    found = Standardizer((), SECRET, terms=definitions.terms).standardize(table)
    assert found["reason"].to_pylist() == [None, "expired", None, None]
    assert found["event_time"].cast(pa.int64()).to_pylist() == [START, START, START, START - 1], "a term begins no later than the record came"
