"""Records of the topic: sound ones, hand-picked bad ones, and sound ones that were damaged at random; as the table that is standardised."""

import json
import random
from datetime import datetime, timedelta

import pyarrow as pa

from tests.laws.histories import DAY, HOUR, MINUTE, SECOND, START, message
from tests.laws.law import seeded
from tests.laws.oracle import Record

NOW = START + 12 * HOUR + 345_000
SOUND = {"type": "track", "messageId": "m1", "userId": "u1", "event": "Order Completed", "properties": {"revenue": 5}}


def sound(**changed: object) -> bytes:
    return json.dumps({name: value for name, value in (SOUND | changed).items() if value is not ...}).encode()


def time_of(at: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=at)).isoformat()


def bomb(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + ("1" if opening != "[" else "") + closing * depth


def raw(*pieces: str, front: str = '{"type":"track","messageId":"m","userId":"u","event":"x"', end: str = "}") -> bytes:
    return (front + "".join(pieces) + end).encode()


MALFORMED = [
    b"", b" ", b"not json", b"{", b"}", b"{}x", b"[]", b"null", b"1", b'"text"', b"{]", b"[{}]", b"\xef\xbb\xbf" + sound(), b"{'type':'track'}", b'{"type":"track",}',
    b'{"type" "track"}', b'{type:"track"}', raw(end=""), raw(',"properties":{"a":1', end="}"), raw(',"properties":{"a":{"b":1}', end="}"), raw(',"context":{"traits":{"email":"a"}', end="}"),
    raw(',"properties":{"revenue":1,"product":{"id":[1}', end="}}"), raw(',"properties":{"a":1}}', end="}"), raw() + b"{}", raw() + b' {"x":1}', raw() + b"]}", raw() + b',{"type":"track"}', raw() + b',0],{}', raw() + b',{"type":"track"}],{}', raw(',"n":NaN'), raw(',"n":Infinity'), raw(',"n":-Infinity'),
    raw(',"properties":{"revenue":NaN}'), raw(',"properties":{"revenue":01}'), raw(',"properties":{"revenue":1.}'), raw(',"properties":{"revenue":.5}'), raw(',"properties":{"revenue":+1}'),
    raw(',"properties":{"revenue":1e}'), raw(',"properties":{"revenue":--1}'), raw(',"properties":{"revenue":0x1}'), raw(',"properties":{"revenue":tru}'), raw(',"properties":{"revenue":1 2}'),
    raw(',"n":"a\tb"'), raw(',"n":"\\x41"'), raw(',"n":"\\u12"'), raw(',"n":"open'), raw(',"n":"a\nb"'), raw(',"properties":{"revenue":"a\x01b"}'), raw(',"a"'), raw(",,"), raw(',"a":}'), raw(" // comment"), raw(" /* c */"),
    raw(',"deep":', bomb(5_000)), raw(',"properties":{"revenue":', bomb(5_000), "}"), raw(',"properties":', bomb(5_000, '{"a":', "}")), bomb(5_000).encode(), raw(',"deep":', "[" * 5_000), raw(',"context":{"traits":{"email":', bomb(5_000), "}}"),
    raw(',"n":', "1" * 5_000), raw(',"properties":{"revenue":', "1" * 5_000, ',"product":{"id":"lost"}}'), raw(',"userId":"\\ud800"'), raw(',"n":"\\udc00\\ud800x"'), raw(',"event":"\\uD83d"'), raw(',"properties":{"product":{"id":"\\ud800"}}'),
    raw(',"n":"\\ud83c\\ud83c\\udf4e"'), raw(',"n":"\\ud83c\\udf4e\\udf4e"'), raw(',"n":"\\\\\\ud83c"'), raw(',"\\udfff":1'), raw(",'n':1"), raw(',"properties":{\'a\':1}'), raw(',"properties":{"revenue":"a\tb"}'),
 raw(',"traits":', bomb(3_000, '{"revenue":', "}")), bomb(2_000, '{"type":', "}").encode(),
]  # fmt: skip
"""Every one is no JSON object, or has a nesting or a number of more than a thousand levels or digits, which no JSON reader follows."""

BAD_BYTES = [None, b"\xff\xfe", b"\x80", sound()[:-1] + b"\xff}", b'{"type":"track","userId":"\xc3\x28"}', b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", "{}".encode("utf-16")]

WRONG_MEANING = [
    {"type": ...}, {"type": None}, {"type": ""}, {"type": "Track"}, {"type": "track "}, {"type": "purchase"}, {"type": 1}, {"type": True}, {"type": ["track"]}, {"type": {"a": 1}},
    {"messageId": ...}, {"messageId": None}, {"messageId": ""}, {"messageId": "x" * 1_025}, {"userId": "x" * 1_025}, {"anonymousId": "ä" * 1_025}, {"anonymousId": "\U0001f34e" * 1_024}, {"userId": "x" * 1_024},
    {"type": "alias", "previousId": "p" * 1_025}, {"userId": ...}, {"userId": None}, {"userId": " \t\n"}, {"userId": "", "anonymousId": "\r\f\v"}, {"userId": ..., "context": {"traits": {"phone": "none"}}},
    {"event": ...}, {"event": None}, {"event": ""}, {"type": "page", "event": ...}, {"type": "screen", "event": ..., "name": None}, {"type": "identify", "event": ...}, {"type": "group", "event": ...},
    {"properties": []}, {"properties": "text"}, {"properties": 1}, {"properties": True}, {"properties": None}, {"traits": []}, {"traits": "x"}, {"traits": 0}, {"context": []}, {"context": "x"}, {"context": False}, {"context": None},
    {"properties": [{"revenue": 1}]}, {"context": {"traits": []}}, {"context": {"traits": "x"}}, {"properties": "x", "type": ...}, {"traits": {"a": 1}, "properties": 3},
]  # fmt: skip

CLAIMED = [
    "", " ", "now", "2026", "2026-03", "2026-3-1", "2026-03-01T", "2026-03-01 12", "2026-03-01T12:00", "2026-03-01T12:00Z", "2026-03-01 12:00+02", "2026-03-01T12:00-02:30", "2026-03-01T12:00:00", "2026-03-01t12:00:00z", "2026-03-01T12:00:00.1Z", "2026-03-01T12:00:00,123456789Z",
    "2026-03-01T12:00:00.1234567890Z", "2026-02-29", "2024-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "2026-01-32", "2026-03-01T24:00:00Z", "2026-03-01T23:60:00Z", "2026-03-01T23:59:60Z", "2026-03-01T12:00:00+01:00",
    "2026-03-01T12:00:00-0130", "2026-03-01T12:00:00+14", "2026-03-01T12:00:00+18:00", "2026-03-01T12:00:00+18:01", "2026-03-01T12:00:00+19:00", "2026-03-01T12:00:00+01:60", "2026-03-01T12:00:00-00:00", "2026-03-01T12:00:00 Z",
    "2026-03-01T12:00:00UTC", "2026-03-01T12:00:00 Europe/Berlin", " 2026-03-01", "2026-03-01 ", "2026-03-01\n", "2026-03-01T12:00:00Z\n", "2026-03-01T12:00:00Z\r\n", "0000-01-01", "0000-13-01", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-18:00", "10000-01-01", "-0001-01-01", "1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.9999999Z", "1970-01-01T00:00:00Z", "1970-01-01", "1582-10-10", "1970-01-01T00:00:00+00:01", "1969-12-31T20:00:00-04:00", "2026-W09-7",
    "٢٠٢٦-03-01", "1700000000", "1700000000000", "null", "epoch", "today", "tomorrow", *(time_of(NOW + ahead) for ahead in (0, 1, 5 * MINUTE, 5 * MINUTE + 1, 2 * HOUR, DAY - 1, DAY, DAY + 1, 48 * HOUR)),
]  # fmt: skip

ODD_BUT_SOUND = [
    raw(',"userId":"second"'), raw(',"userId":null', front='{"type":"track","messageId":"m","userId":"u","anonymousId":"a","event":"x"'), raw(',"type":"page","name":"n"'), raw(',"properties":{"revenue":1},"properties":{"revenue":2}'),
    raw(',"properties":{"revenue":1,"revenue":"2"}'), raw(',"properties":{"revenue":5},"properties":null'), raw(',"messageId":"m\\u0000m"'), raw(',"userId":"\\u0000"'),
    raw(',"userId":"\\ud83c\\udf4e"'), raw(',"event":"\\u0000"'), raw(',"properties":{"revenue":"\\u0000"}'), raw(',"n":"C:\\\\ud800"'), raw(',"n":"\\\\\\\\udead"'), raw(',"n":"\\\\\\ud83c\\udf4e"'), raw(',"properties":{"big":"', "x" * 1_000_000, '"}'), raw(',"properties":{"revenue":"', "9" * 1_000_000, '"}'),
    raw(',"x":{"properties":{"revenue":9}}'), raw(',"Properties":{"revenue":9}'), raw(',"properties":{"Revenue":9}'), raw(',"properties":{"product.id":9}'), raw(',"properties":{"product":[{"id":9}]}'), raw(',"properties":{"product":{"id":{"id":9}}}'), raw(',"properties":{"product":"{\\"id\\":9}"}'),
    raw(',"USERID":"x"'), raw(',"":1'), raw(',"\\u0074ype":"page","name":"n"'), raw(',"properties":{"":1}'), raw(',"properties":{}'), raw(',"many":', bomb(500)), raw(',"properties":{"revenue":', bomb(200), "}"), raw(',"properties":{"product":', bomb(200, '{"id":', "}"), "}"),
    raw(',"n":', "1" * 900), raw(',"properties":{"revenue":', "1" * 900, ',"product":{"id":"kept"}}'), raw(',"properties":{"product":{"id":', "1" * 900, "}}"), raw(',"properties":{"revenue":1e-1000000000,"product":{"id":1e99}}'), raw(',"n":1e999999999999'), raw(',"properties":{"revenue":123456789012345678901234567890.5}'),
    raw(',"properties":{"revenue":-0.0,"product":{"id":-0}}'), raw(',"context":{"traits":{"email":null,"phone":49301}}'), raw(',"context":{"traits":{"email":" A@B.c "}},"traits":{"email":"not@identify"}'), b" \r\n\t" + raw() + b"\n ", raw('\n,\t"timestamp"\r:\n null '),
    sound(type="identify", event=..., traits={"email": "in@traits"}, context={"traits": {"email": "in@context", "phone": "+1"}}), sound(type="identify", event=..., traits={"email": "", "phone": " "}, context={"traits": {"email": "c@x", "phone": "2"}}), sound(type="identify", event=..., traits=None, context={"traits": {"email": "c@x"}}),
    sound(type="alias", event=..., userId="new", previousId="old"), sound(type="alias", event=..., userId=..., previousId="old"), sound(type="alias", event=..., userId="same", previousId=" same ", anonymousId="same"), sound(previousId="only on alias"), sound(type="alias", event=..., userId="u", previousId=" "),
    sound(userId="\u00a0"), sound(userId="\u2003u"), sound(userId="İ", context={"traits": {"email": "İ@X"}}), sound(userId=..., anonymousId="a", context={"traits": {"phone": "+٤٩ 1"}}), sound(userId="e\u0301"), sound(userId="\u00e9"), sound(messageId=" "), sound(event=" "), sound(userId=12), sound(userId=-0.5), sound(userId=True), sound(messageId=7),
    sound(type="page", event=..., name=5), sound(event=3), sound(timestamp=5), sound(timestamp=True), sound(timestamp={"a": 1}), sound(properties={"revenue": True, "product": None}), sound(properties={"revenue": None, "product": {"id": None}}),
]  # fmt: skip


def hand_picked() -> list[Record]:
    """Each with the verdict the oracle gives; together they reach every reason."""
    values = [*BAD_BYTES, *MALFORMED, *(sound(**changed) for changed in WRONG_MEANING), *(sound(timestamp=claimed) for claimed in CLAIMED), *ODD_BUT_SOUND]
    sources = (None, "http", "", "ünï")
    return [Record(value, 0, number, NOW, sources[number % len(sources)]) for number, value in enumerate(values)]


def damaged(count: int, seed: int) -> list[Record]:
    """Sound messages, two in three with a byte changed, a piece cut out, doubled or moved, or a value swapped for another type."""
    chance = random.Random(seed)
    records = []
    for number in range(count):
        text = message(seeded(chance.randrange(2**32)), NOW, ids=10**6)
        for _ in range(chance.choice((0, 1, 1, 2))):
            text = damage(text, chance)
        records.append(Record(text, 1, number, NOW + chance.randrange(DAY) // 1_000 * 1_000, chance.choice((None, "http"))))
    return records


def numbers(count: int, seed: int) -> list[Record]:
    """Doubles of every size that has digits before or after the point that count, with as many digits as a double has."""
    chance = random.Random(seed)
    values = [chance.choice((1, -1)) * chance.random() * 10.0 ** chance.randrange(-9, 16) for _ in range(count)]
    texts = [chance.choice((repr, "{:.17g}".format, "{:.9e}".format))(value) for value in values]
    return [Record(raw(f',"properties":{{"revenue":{text}}}'), 2, number, NOW) for number, text in enumerate(texts)]


def damage(text: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(text)) if text else 0
    end = min(len(text), start + chance.randrange(1, 12))
    pieces = [b"", b'"', b"{", b"}", b"]", b",", b":", b"\\", b"null", b"1e5", b"\x00", b"\xc3", b" ", b"[]", text[start:end] * 2, b"\n", b"-", b"true"]
    swapped = chance.choice((b"null", b"[]", b"{}", b"0", b'""', b"true", b'"x"', b"1.5e3"))
    kind = chance.randrange(4)
    if kind == 0:
        return text[:start] + chance.choice(pieces) + text[end:]
    if kind == 1:
        return text[:start] + chance.choice(pieces) + text[start:]
    if kind == 2:
        return text[:start] + text[end:]
    name = chance.choice((b'"type": ', b'"messageId": ', b'"properties": ', b'"traits": ', b'"context": ', b'"userId": ', b'"event": ', b'"product": ', b'"timestamp": '))
    before, found, after = text.partition(name)
    return before + found + swapped + b',"was":' + after if found else text


def as_table(records: list[Record]) -> pa.Table:
    return pa.table(
        {
            "partition": pa.array([record.partition for record in records], pa.int32()), "offset": pa.array([record.offset for record in records], pa.int64()),
            "received_at": pa.array([record.received_at for record in records], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "source": pa.array(["kafka" if record.source is None else record.source for record in records]), "payload": pa.array([record.value for record in records], pa.binary()),
        }
    )  # fmt: skip


__all__ = ["NOW", "SECOND", "as_table", "damaged", "hand_picked", "numbers"]
