"""Law 7 for whatever is sent: through the collector and the standardisation no payload is a fault, and received = accepted + rejected + duplicate, to the record."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.events.standard import Standardizer
from millrace.keys import TenantKeys
from millrace.tracking_plan.records import PlanRules
from millrace.tracking_plan.verdicts import Judge
from serving.collector.app import build_app
from speed.seen import SeenIndex
from tests import tiers
from tests.laws.histories import SECRET, TRAITS
from tests.laws.payloads import CALLS, Payloads
from tests.laws.product import view_of
from tests.millrace.records import NOW
from tests.serving.collector.conftest import MemoryProducer

KEYS = TenantKeys(write_key="wk_test", read_key="rk_test", admin_key="ak_test", token_key="5a" * 32)
RULES = {
    "properties": {"properties": {"type": "object", "required": ["revenue"], "properties": {"revenue": {"type": "number", "minimum": 0}}, "additionalProperties": {"type": ["string", "object"]}}},
    "not": {"required": ["writeKey"]},
}  # fmt: skip
DEFINITIONS = Definitions.model_validate(
    {
        "views": {"person": view_of(TRAITS)}, "sources": {"shop": {"mode": "block"}, "blog": {"mode": "quarantine"}},
        "tracking_plan": [{"event": "Order Completed", "rules": RULES}, {"type": "identify", "rules": {"properties": {"traits": {"maxProperties": 1}}}}, {"type": "page", "rules": {"pattern": "(a+)+$"}}],
    }
)  # fmt: skip
SOURCES = ("http", "shop", "blog")
OF_MEANING = {"bad_timestamp", "event_time_out_of_range", "plan_violation"}
"""Reasons for which the log may reject what the collector has taken: everything else it has looked at itself."""
ALL_REASONS = OF_MEANING | {
    "invalid_utf8", "malformed_json", "missing_type", "unknown_type", "missing_message_id", "missing_identifier", "missing_event_name", "bad_properties", "identifier_too_long",
}  # fmt: skip
Taken = tuple[bytes | None, str, str | None, bool]
"""Value, source and stamp of a record of the topic, and whether the collector wrote it."""


class Door:
    """The collector, called as its server calls it."""

    def __init__(self) -> None:
        self.producer = MemoryProducer()
        self._app = build_app(self.producer, KEYS, definitions=DEFINITIONS)
        self._keys = KEYS.write_keys(SOURCES)
        self.statuses: Counter[int] = Counter()

    async def send(self, call: str, body: bytes, encoding: bytes | None, source: str) -> list[Taken]:
        """What the topic has of a request."""
        self.producer.records.clear()
        self.producer.stamps.clear()
        answer: list[int] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, object]:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(event: dict[str, object]) -> None:
            answer.extend([event["status"]] if event["type"] == "http.response.start" else [])

        headers = [(b"authorization", _basic(self._keys[source])), *([(b"content-encoding", encoding)] if encoding else [])]
        scope = {"type": "http", "method": "POST", "path": f"/v1/{call}", "headers": headers, "query_string": b"", "scheme": "http", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2)}
        await self._app(scope, receive, send)
        (status,) = answer
        self.statuses[status] += 1
        assert status == 200 or 400 <= status < 500, (status, body[:300])
        assert (status == 200) == bool(self.producer.records), (status, body[:300])
        return [(value, source, stamp.decode(), True) for (_, value), stamp in zip(self.producer.records, self.producer.stamps, strict=True)]


def _basic(key: str) -> bytes:
    import base64

    return b"Basic " + base64.b64encode(f"{key}:".encode())


async def through_the_door(payloads: Payloads, count: int) -> tuple[list[Taken], Counter[int]]:
    """Sends so many payloads, alone or in batches; half of the soundest are sent twice. What the topic has then, and the answers."""
    door, chance, topic = Door(), payloads.chance, []
    source = iter(payloads)
    while count > 0:
        size = 1 if chance.randrange(3) else chance.randrange(1, 12)
        some = list(islice(source, size))
        count -= size
        call = "batch" if size > 1 else chance.choice(CALLS) if chance.randrange(4) == 0 else "track"
        body = b'{"batch":[' + b",".join(some) + b"]}" if call == "batch" else some[0]
        body, encoding = payloads.encoded(body)
        came_in = chance.choice(SOURCES)
        taken = await door.send(call, body, encoding, came_in)
        assert len(taken) in (0, size)
        topic += taken
        if taken and chance.randrange(2):
            again = await door.send(call, body, encoding, came_in)
            assert len(again) == size
            topic += again
    return topic, door.statuses


def other_ways(payloads: Payloads, count: int) -> list[Taken]:
    """Payloads that somebody writes into the topic: without a verdict, with one of another plan, with a damaged one."""
    stamps = (None, None, "", "0" * 16, f'{"0" * 16}[["a","b"]]', f"{DEFINITIONS.plan_hash}[[", f"{DEFINITIONS.plan_hash}[1]")
    return [(value, payloads.chance.choice(("kafka", *SOURCES)), payloads.chance.choice(stamps), False) for value in islice(payloads, count)]


def as_records(topic: list[Taken], start: int) -> pa.Table:
    return pa.table(
        {
            "partition": pa.array([0] * len(topic), pa.int32()), "offset": pa.array(range(start, start + len(topic)), pa.int64()),
            "received_at": pa.array([NOW] * len(topic), pa.int64()).cast(pa.timestamp("us", tz="UTC")), "source": pa.array([one[1] for one in topic], pa.string()),
            "stamp": pa.array([one[2] for one in topic], pa.string()), "payload": pa.array([one[0] for one in topic], pa.binary()),
        }
    )  # fmt: skip


def check_epochs(topic: list[Taken], seen: SeenIndex, chance: random.Random) -> Counter[str]:
    """Standardises the topic in epochs as the stream does, and holds every figure against brute force."""
    standardizer = Standardizer((state for states in DEFINITIONS.states.values() for state in states), SECRET, rules=PlanRules.of(DEFINITIONS))
    counts: Counter[str] = Counter()
    known: set[tuple[str, str]] = set()
    start = epoch = 0
    while start < len(topic):
        some = topic[start : start + chance.choice((1, 50, 3_000, 10_000))]
        rows = standardizer.standardize(as_records(some, start))
        start, epoch = start + len(some), epoch + 1
        assert len(rows) == len(some)
        reasons = rows["reason"].to_pylist()
        for (value, source, _, is_ours), reason in zip(some, reasons, strict=True):
            assert reason is None or reason in (OF_MEANING if is_ours else ALL_REASONS), (reason, source, value)
        accepted = rows.filter(pc.is_null(rows["reason"]))
        marks = seen.mark(accepted["dedup_key"].combine_chunks(), epoch).tolist() if len(accepted) else []
        expected = []
        for place in zip(accepted["source"].to_pylist(), accepted["message_id"].to_pylist(), strict=True):
            expected.append(place in known)
            known.add(place)
        assert marks == expected
        counts += Counter(accepted=marks.count(False), duplicate=marks.count(True), rejected=len(some) - len(accepted))
        counts.update(f"reason {reason}" for reason in reasons if reason)
        if "violations" in rows.column_names:
            told = [one for one in rows["violations"].to_pylist() if one]
            counts["violating"] += len(told)
            assert all(violation["field"] and violation["rule"] for one in told for violation in one)
    return counts


def check_verdicts(topic: list[Taken]) -> None:
    """The verdict on a record is the one that another judge finds."""
    judge = Judge(DEFINITIONS.tracking_plan, DEFINITIONS.plan_hash)
    standardizer = Standardizer((), SECRET, rules=PlanRules.of(DEFINITIONS))
    ours = [one for one in topic if one[3]][:5_000]
    stamped, unstamped = (standardizer.standardize(as_records(some, 0).drop_columns(["stamp"])) for some in (ours, [(*one[:2], None, True) for one in ours]))
    assert stamped.equals(unstamped)
    for (value, _, stamp, _), kind, name in zip(ours, stamped["type"].to_pylist(), stamped["name"].to_pylist(), strict=True):
        assert judge.stamp(judge.violations(value, kind, name)).decode() == stamp


def test_whatever_is_sent_is_accepted_rejected_or_duplicate_and_the_three_add_up(tmp_path):
    payloads = Payloads(tiers.SEED)
    through, statuses = asyncio.run(through_the_door(payloads, tiers.PAYLOADS * 7 // 10))
    topic = [*through, *other_ways(payloads, tiers.PAYLOADS * 3 // 10)]
    payloads.chance.shuffle(topic)

    counts = check_epochs(topic, SeenIndex(tmp_path / "seen", horizon=timedelta(days=7), map_size=1 << 28), payloads.chance)
    check_verdicts(through)

    assert counts["accepted"] + counts["rejected"] + counts["duplicate"] == len(topic)
    assert set(statuses) >= {200, 400, 413}
    assert {name for name in counts if name.startswith("reason ")} == {f"reason {one}" for one in ALL_REASONS}
    assert min(counts["accepted"], counts["duplicate"], counts["rejected"], counts["violating"]) > tiers.PAYLOADS // 100
