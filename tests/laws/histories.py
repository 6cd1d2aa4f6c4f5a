"""Random histories for the law tests: messages of a few people, with every trouble the log knows, and their standard events as Arrow tables.

Who chooses decides how: hypothesis by bytes (it can then shrink them), the real-stack test by a seed. Imports of the product: none.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pyarrow as pa

from tests.laws.oracle import DAY, HOUR, MINUTE, SECOND, Event, Record, typed
from tests.laws.oracle_traits import lines_of
from tests.laws.oracle_values import time_text

Choose = Callable[[int], int]
"""A number from 0 up to below the argument."""
SECRET = bytes(range(32))
START = 1_772_323_200 * SECOND
"""2026-03-01T00:00:00Z: where the clock of pure histories starts."""

REVENUES = (
    "10", "0", "-0", "-3.5", "19.99", "0.1", "0.2", "1e2", "1E-3", "12345678.12345679", "0.0000000005", "-0.0000000005", "0.00000000049", "1e-1000000000", "1e-320",
    "999999999999999", "-999999999999999", "1000000000000000", "1e15", "1e400", '"7.25"', '"+7"', '".5"', '"5."', '"1e3"', '"seven"', '""', '" 7"', '"1,5"', '"0x10"', "null", "true",
    '{"amount":3}', "[1]", "-9223372036.854775808", "9223372036.854775807", "18446744073.709551616", '"999999999999999.9999999999"', '"-9223372036.854775808"', '"Infinity"', '"NaN"',
)  # fmt: skip
PRODUCTS = ('"apple"', '"Äpfel"', '"\\u0000"', "5", '"5"', "true", '""', "null", '"\\ud83c\\udf4e"', '"b"', '" b"', '{"id":1}', "[]", '"zebra"', "4.5")
NAMES = ("Order Completed", "Order Completed", "Product Viewed", "Product Viewed", "order completed", "Zahlung erhalten ✓")
USERS = ("u1", "u2", " u1 ", "U1", "u3", "9", "\u00a0u1", "NULL")
EMAILS = ("ann@example.com", "Ann@Example.COM ", "bob@example.com", "ÄNN@example.com", " ", "carl@example.com", "Test@test.com")
PHONES = ("+49 30 123", "+4930123", "0049/30-123", "call me", "4930123")
ANONYMOUS = ("a1", "a2", "a3", "a4", "a5", "undefined")
TYPES = ("track",) * 6 + ("identify", "identify", "page", "screen", "group", "alias")
OFFSETS = (0, 1, -1, HOUR, -HOUR, HOUR - 1, DAY, -DAY, -DAY - 1, 4 * MINUTE, 5 * MINUTE, 6 * MINUTE, 2 * HOUR, DAY - MINUTE)
"""How far from the clock an event says it happened; more than five minutes ahead is clamped."""

ZONE = "America/St_Johns"
"""Half an hour off the tiles of UTC; until 2011 its clocks changed a minute after midnight."""
TRAITS: dict[str, dict[str, Any]] = {
    "orders": {"event": "Order Completed", "op": "count"},
    "calls": {"type": "identify", "op": "count", "window": "3d"},
    "views_2h": {"event": ["Product Viewed", "Order Completed"], "op": "count", "window": "2h"},
    "spend": {"event": "Order Completed", "op": "sum", "value": "properties.revenue"},
    "spend_2d": {"event": "Order Completed", "op": "sum", "value": "properties.revenue", "window": "2d"},
    "basket": {"op": "avg", "value": "properties.revenue", "window": "30d"},
    "smallest": {"op": "min", "value": "properties.revenue"},
    "largest_5h": {"op": "max", "value": "properties.revenue", "window": "5h"},
    "least_word": {"op": "min", "value": "properties.product.id", "value_type": "string"},
    "first_page": {"op": "first", "value": "name"},
    "last_seen": {"op": "last", "value": "event_time", "window": "10d"},
    "last_product": {"event": "Product Viewed", "op": "last", "value": "properties.product.id"},
    "last_number": {"op": "last", "value": "properties.revenue", "value_type": "number", "window": "26h"},
    "earliest": {"op": "min", "value": "event_time", "type": "track"},
    "products": {"op": "approx_distinct", "value": "properties.product.id", "window": "7d"},
    "sources": {"op": "approx_distinct", "value": "source"},
    "language": {"op": "last", "value": "context.locale"},
    "city": {"type": "identify", "op": "first", "value": "traits.city"},
    "dear_orders": {"event": "Order Completed", "op": "count", "where": {"properties.revenue": {"gt": 0.1, "lte": 999_999_999_999_999}}},
    "apples": {"op": "count", "where": {"properties.product.id": ["apple", "5", "true"], "source": "http"}, "window": "3d"},
    "unsold": {"op": "sum", "value": "properties.revenue", "where": {"properties.product.id": {"exists": False}}},
    "fives": {"op": "last", "value": "properties.product.id", "where": {"properties.product.id": {"gte": 4.5, "lt": 6}, "properties.revenue": {"exists": True}}},
    "apple_or_dear": {"op": "count", "where": "properties.product.id = 'apple' or properties.revenue > 10.5", "window": "9d"},
    "true_elsewhere": {"op": "sum", "value": "properties.revenue", "where": "source != 'http' and (properties.product.id or properties.revenue is null)"},
    "of_a": {"op": "count", "where": {"properties.product.id": {"prefix": "\u00c4"}}},
    "spend_before": {"event": "Order Completed", "op": "sum", "value": "properties.revenue", "window": "2d", "ago": "2d"},
    "calls_before": {"op": "count", "window": "5h", "ago": "1d"},
    "today": {"op": "count", "window": "today", "time_zone": ZONE},
    "this_week": {"op": "avg", "value": "properties.revenue", "window": "this_week", "time_zone": ZONE},
    "previous_month": {"op": "count", "window": "previous_month", "time_zone": ZONE},
    "this_year": {"op": "approx_distinct", "value": "source", "window": "this_year", "time_zone": ZONE},
    "variance": {"op": "variance", "value": "properties.revenue"},
    "deviation_9d": {"op": "stddev", "value": "properties.revenue", "window": "9d"},
    "median": {"op": "median", "value": "properties.revenue"},
    "p95_9d": {"op": "p95", "value": "properties.revenue", "window": "9d"},
    "kinds": {"op": "count_distinct", "value": "properties.product.id"},
    "kinds_2d": {"op": "unique_list", "value": "properties.product.id", "window": "2d"},
    "usual_price": {"op": "most_frequent", "value": "properties.revenue", "value_type": "number"},
    "usual_kind": {"op": "most_frequent", "value": "properties.product.id", "window": "previous_week", "time_zone": ZONE},
    "prices": {"op": "histogram", "value": "properties.revenue", "value_type": "number"},
    "best": {"op": "top_k", "value": "properties.product.id", "k": 2},
    "bought_3d": {"event": "Order Completed", "op": "exists", "window": "3d"},
    "since_order": {"event": "Order Completed", "op": "time_since"},
    "views_since": {"event": "Product Viewed", "op": "count", "since": "Order Completed"},
    "order_times": {"event": "Order Completed", "op": "times", "window": "30d"},
    "days": {"op": "active_days", "time_zone": ZONE},
    "in_a_row": {"op": "streak", "time_zone": ZONE},
    "row": {"op": "longest_streak", "window": "30d", "time_zone": ZONE},
    "city_of": {"op": "last", "value": "traits.city", "prefer": ["shop", "http"]},
    "line_spend": {"op": "sum", "value": "properties.lines[].price"},
    "line_kinds_3d": {"op": "count_distinct", "value": "properties.lines[].id", "window": "3d"},
    "apple_lines": {"event": "Order Completed", "op": "count", "where": {"properties.lines[].id": ["apple", "5"], "source": "http"}},
    "last_line": {"op": "last", "value": "properties.lines[].id"},
    "first_dear_line": {"op": "first", "value": "properties.lines[].id", "where": {"properties.lines[].price": {"gt": 0.1}}},
    "told": {"op": "first", "value": "properties.revenue", "value_type": "number", "provenance": True, "window": "4d"},
}


def message(choose: Choose, clock: int, ids: int) -> bytes:
    """JSON text of one sound message around a moment of the clock. ``ids`` bounds the message ids: fewer make more duplicates."""
    kind = TYPES[choose(len(TYPES))]
    found: dict[str, Any] = {"type": kind, "messageId": f"m{choose(ids)}"}
    who = choose(8)
    if who in (0, 1, 2, 3) or kind == "alias":
        found["userId"] = USERS[choose(len(USERS))]
    if who not in (0, 1):
        found["anonymousId"] = ANONYMOUS[choose(len(ANONYMOUS))]
    contact = choose(6)
    traits: dict[str, Any] = {"city": ("Köln", "Rom")[contact % 2]}
    if contact in (0, 1):
        traits["email"] = EMAILS[choose(len(EMAILS))]
    if contact in (1, 2):
        traits["phone"] = PHONES[choose(len(PHONES))]
    if kind == "identify" and contact != 5:
        found["traits"] = traits
    elif contact < 3:
        found["context"] = {"traits": traits, "locale": ("de", "en")[contact % 2]}
    if kind == "alias":
        found["previousId"] = (ANONYMOUS + USERS)[choose(len(ANONYMOUS) + len(USERS))]
    if kind in ("track", "page", "screen"):
        found["event" if kind == "track" else "name"] = NAMES[choose(len(NAMES))]
        found["properties"] = {"revenue": "@revenue", "product": {"id": "@product"}, "lines": "@lines"}
    if when := choose(len(OFFSETS) + 4):
        found["timestamp"] = timestamp(choose, clock, when - 1)
    text = json.dumps(found, ensure_ascii=choose(2) == 0)
    text = text.replace('"@lines"', lines(choose)) if "@lines" in text else text
    return text.replace('"@revenue"', REVENUES[choose(len(REVENUES))]).replace('"@product"', PRODUCTS[choose(len(PRODUCTS))]).encode()


def lines(choose: Choose) -> str:
    """JSON of what stands where a list of lines should: mostly none or a few, now and then something else, or among them something that is no object."""
    kind = choose(8)
    if kind in (0, 1):
        return ("null", "[]", '{"id":"apple"}', '"[]"', "7")[choose(5)]
    entries = []
    for _ in range(choose(4)):
        odd = choose(10)
        line = f'{{"price":{REVENUES[choose(len(REVENUES))]},"id":{PRODUCTS[choose(len(PRODUCTS))]}}}'
        entries.append(("null", "5", json.dumps(line), '{"id":"apple"}', "[1]")[choose(5)] if odd == 0 else line)
    return f"[{','.join(entries)}]"


def timestamp(choose: Choose, clock: int, when: int) -> str:
    """A time on or beside a tile boundary, near the clock, or years ago; in one of several spellings."""
    at = clock + OFFSETS[when] if when < len(OFFSETS) else clock - choose(200) * HOUR // 7
    if when % 3 == 0:
        at = at // HOUR * HOUR - choose(2)
    if when == len(OFFSETS) + 2:
        return ("1999-12-31", "1970-01-01T00:00:00Z", "2004-02-29T23:59:59.999999+14:00", "2001-01-01 00:00")[choose(4)]
    seconds, micros = divmod(at, SECOND)
    days, rest = divmod(seconds, 86_400)
    text = f"{time_text(days * DAY)[:10]}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return text + (f".{micros:06d}" if micros else "") + ("Z", "", "+00:00", "z")[choose(4)]


def history(choose: Choose, size: int, epochs: int) -> list[Record]:
    """Records of a pure history: two partitions, ``epochs`` epochs, a clock that creeps."""
    records, ends, epoch = [], [0, 0], 1
    clock = START + choose(24) * HOUR
    for _ in range(size):
        clock += (0, SECOND, MINUTE, 50 * MINUTE)[choose(4)]
        partition = choose(2)
        source = (None, "http", "shop")[choose(3)]
        value = message(choose, clock, ids=max(3, size * 3 // 4))
        if epoch < epochs and choose(max(2, size // epochs)) == 0:
            epoch += 1
        records.append(Record(value, partition, ends[partition], clock, source, epoch))
        ends[partition] += 1
    return records


def arrow_events(events: Iterable[Event], states: Iterable[Any], column: Callable[[str, str], str]) -> pa.Table:
    """Standard events in the shape the fold takes: the oracle's reading of the messages, as Arrow. ``column`` names the value columns."""
    events = list(events)
    time, identifier = pa.timestamp("us", tz="UTC"), pa.struct([("node", pa.string()), ("hint", pa.string())])
    columns: dict[str, pa.Array] = {
        "node": pa.array([event.nodes[0] for event in events], pa.string()),
        "identifiers": pa.array([[{"node": node, "hint": node[-2:]} for node in event.nodes] for event in events], pa.list_(identifier)),
        "epoch": pa.array([event.record.epoch for event in events], pa.int64()),
        "partition": pa.array([event.record.partition for event in events], pa.int32()),
        "offset": pa.array([event.record.offset for event in events], pa.int64()),
        "received_at": pa.array([event.record.received_at for event in events], pa.int64()).cast(time),
        "event_time": pa.array([event.event_time for event in events], pa.int64()).cast(time),
        "dedup_key": pa.array([dedup_key(event) for event in events], pa.binary()),
        **{name: pa.array([getattr(event, name) for event in events], pa.string()) for name in ("source", "type", "name")},
    }
    for state in states:
        for path, kind in state.reads:
            if path not in columns:
                columns[column(path, kind)] = _values(events, path, kind)
    return pa.table(columns)


def _values(events: list[Event], path: str, kind: str) -> pa.Array:
    if "[]." in path:
        of_each = [lines_of(event, path.partition("[].")[0]) for event in events]
        offsets = [0, *itertools.accumulate(map(len, of_each))]
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _column([typed(line, path, kind) for each in of_each for line in each], kind))
    return _column([typed(event, path, kind) for event in events], kind)


def _column(values: list[Any], kind: str) -> pa.Array:
    if kind == "string":
        return pa.array(values, pa.string())
    words = b"".join((value or 0).to_bytes(16, "little", signed=True) for value in values)
    valid = pa.array([value is not None for value in values]).buffers()[1] if values else None
    return pa.Array.from_buffers(pa.decimal128(24, 9), len(values), [valid, pa.py_buffer(words)])


def dedup_key(event: Event) -> bytes:
    return hashlib.md5(f"{event.source}\0{event.message_id}".encode()).digest()


def some_traits(choose: Choose, most: int = 7) -> Mapping[str, dict[str, Any]]:
    """A few of the traits, at least one."""
    names = list(TRAITS)
    return {name: TRAITS[name] for name in sorted({names[choose(len(names))] for _ in range(1 + choose(most))})}
