"""Change records in a real topic: every kind of change lands in the history, deliveries that are repeated change nothing, and what is no change is rejected."""

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from kafka import KafkaProducer

from batch.sources.change_records import Change, change_of
from batch.sources.connector import SourceUnavailable
from batch.sources.debezium import ChangeRecords
from millrace.events.pulls import DebeziumPull
from millrace.topics import ensure_topic

DAY = 86_400_000
Send = Callable[..., None]


def change(operation: str, key: int, *, day: int, lsn: int, after: dict[str, Any] | None = None, before: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """Key and value of a record as Debezium writes them without schemas, of the nth day of 1970."""
    return {"id": key}, {"op": operation, "before": before, "after": after and {"id": key, **after}, "source": {"ts_ms": day * DAY, "lsn": lsn}, "ts_ms": 999 * DAY}


@pytest.fixture
def topic(broker) -> tuple[DebeziumPull, Send]:
    """A topic of two partitions, and what sends records to it."""
    name = f"shop.{uuid.uuid4().hex[:8]}"
    ensure_topic(broker.bootstrap, "t", topic=name)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)

    def send(*records: tuple[Any, Any]) -> None:
        for key, value in records:
            producer.send(name, key=json.dumps(key).encode(), value=value if isinstance(value, bytes | None) else json.dumps(value).encode())
        producer.flush()

    return DebeziumPull(kind="debezium", bootstrap=broker.bootstrap, topic=name, entity="customers", key=("id",)), send


def declare(pulled, pull: DebeziumPull, **more: Any) -> None:
    pulled.declare(shop={"kind": "debezium", "bootstrap": pull.bootstrap, "topic": pull.topic, "entity": "customers", "key": ["id"], **more})


INSERT = change("c", 1, day=1, lsn=10, after={"city": "Bonn"})
UPDATE = change("u", 1, day=2, lsn=11, after={"city": "Kiel"}, before={"id": 1, "city": "Bonn"})
DELETE = change("d", 1, day=3, lsn=12, before={"id": 1, "city": ""})


@pytest.mark.stack
def test_inserts_updates_deletes_snapshots_and_tombstones_are_the_history(pulled, topic, history_of):
    pull, send = topic
    declare(pulled, pull, columns={"city": "text"})
    send(change("r", 2, day=1, lsn=5, after={"city": "Ulm"}), INSERT, UPDATE, DELETE, ({"id": 1}, None))
    counts = pulled.pull()
    assert (counts["received"], counts["taken"]) == (4, 4)
    assert history_of("1", "city") == [("Bonn", "01-02", "01-03"), ("Kiel", "01-03", "01-04"), (None, "01-04", None)]
    assert [(row["key"], row["deleted"]) for row in pulled.versions() if row["is_current"]] == [("1", True), ("2", False)]

    before = pulled.versions()
    send(UPDATE, DELETE, ({"id": 1}, None))  # a connector that was restarted
    assert (counts := pulled.pull())["unchanged"] == counts["received"] == 2
    assert pulled.versions() == before
    assert pulled.pull()["received"] == 0 and pulled.code == 4


@pytest.mark.stack
def test_changes_of_one_millisecond_keep_their_order_and_a_tombstone_alone_deletes(pulled, topic, history_of):
    pull, send = topic
    declare(pulled, pull)
    send(*(change("u", 1, day=1, lsn=number, after={"city": city}) for number, city in enumerate(["Bonn", "Kiel", "Bonn"])))
    pulled.pull()
    assert history_of("1", "city") == [("Bonn", "01-02", "01-02"), ("Kiel", "01-02", "01-02"), ("Bonn", "01-02", None)]
    send(({"id": 1}, None))
    assert pulled.pull()["taken"] == 1
    assert pulled.versions()[-1]["deleted"]


@pytest.mark.stack
def test_a_tombstone_that_comes_in_a_later_run_than_its_delete_changes_nothing(pulled, topic):
    pull, send = topic
    declare(pulled, pull)
    send(INSERT, DELETE)
    pulled.pull()
    before = pulled.versions()
    send(({"id": 1}, None))
    assert pulled.pull()["unchanged"] == 1
    assert pulled.versions() == before


@pytest.mark.stack
def test_changes_without_a_number_of_their_own_are_told_apart_by_their_place_in_the_topic(pulled, topic, history_of):
    pull, send = topic
    declare(pulled, pull)
    for city in ("Bonn", "Kiel", "Bonn"):
        send(({"id": 1}, {"op": "u", "after": {"id": 1, "city": city}, "source": {"ts_ms": DAY}}))
    assert pulled.pull()["taken"] == 3
    assert history_of("1", "city")[-1] == ("Bonn", "01-02", None)


@pytest.mark.stack
def test_what_is_no_change_is_rejected_with_its_bytes(pulled, topic):
    pull, send = topic
    declare(pulled, pull)
    toast = change("u", 1, day=1, lsn=1, after={"city": "__debezium_unavailable_value"})
    send(({"id": 1}, b"{"), ({"id": 1}, {"id": 1, "city": "Bonn"}), ({"id": 1}, {"op": "t", "source": {}}), toast)
    assert pulled.pull()["reasons"] == {"malformed_row": 1, "no_change_record": 1, "unsupported_operation": 1, "unavailable_value": 1}
    assert {"{", '{"id": 1, "city": "Bonn"}'} < {row["original"] for row in pulled.rejected()}


@pytest.mark.stack
def test_offsets_that_are_gone_stop_the_source_rather_than_skip_changes(topic):
    pull, send = topic
    send(INSERT)
    with pytest.raises(SourceUnavailable, match="changes are missing"):
        list(ChangeRecords(pull).batches({f"{pull.topic}-{number}": {"offset": 7} for number in range(2)}))
    with pytest.raises(SourceUnavailable, match="there is no topic"):
        list(ChangeRecords(pull.model_copy(update={"topic": "absent.topic"})).batches({}))


@pytest.mark.stack
def test_as_events_each_change_is_a_row_with_its_operation(topic):
    pull, send = topic
    send(INSERT, DELETE, ({"id": 1}, None))
    mapped = DebeziumPull(kind="debezium", bootstrap=pull.bootstrap, topic=pull.topic, events={"event": "/__op", "user_id": "/id"})
    rows = [{name: values.to_pylist() for name, values in zip(batch.rows.column_names, batch.rows.columns, strict=True)} for batch in ChangeRecords(mapped).batches({}) if len(batch.rows)]
    assert rows == [{"id": ["1", "1"], "city": ['"Bonn"', '""'], "__op": ['"c"', '"d"']}]


def test_with_schemas_dates_times_and_decimals_are_what_they_are():
    fields = [
        {"field": "price", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}, {"field": "day", "name": "io.debezium.time.Date"},
        {"field": "at", "name": "io.debezium.time.MicroTimestamp"}, {"field": "more", "name": "io.debezium.data.Json"}, {"field": "none", "name": "io.debezium.time.Date"},
    ]  # fmt: skip
    after = {"id": 1, "price": base64.b64encode((-1050).to_bytes(2, "big", signed=True)).decode(), "day": 1, "at": 1_500_000, "more": '{"a": 1}', "none": None}
    envelope = {"schema": {"fields": [{"field": "before", "fields": []}, {"field": "after", "fields": fields}]}, "payload": {"op": "c", "before": None, "after": after, "source": {"ts_us": 5, "file": "b.1", "pos": 7, "row": 0}}}
    found = change_of(json.dumps({"schema": {}, "payload": {"id": 1}}).encode(), json.dumps(envelope).encode(), 0)
    assert isinstance(found, Change)
    assert {name: str(value) for name, value in found.values.items()} == {"id": "1", "price": "-10.50", "day": "1970-01-02", "at": "1970-01-01T00:00:01.500000Z", "more": "{'a': 1}", "none": "None"}
    assert (found.at, found.number) == (5, "b.1:7:0")
