"""An oracle that shares nothing with Millrace: plain Python from raw Kafka records to what every answer must be. Imports no module of the product.

In: records as Kafka holds them, the traits as the YAML says them, the token secret. Out: which records are accepted, rejected (with the reason) or
duplicates; nodes, persons with their ids; and for each person the finished value of every trait at a time. Written for clarity, not for speed.
"""

import hashlib
import hmac
import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import idna

from tests.laws import oracle_persons
from tests.laws.oracle_parties import EVERY, Sources, in_term, term_of
from tests.laws.oracle_persons import Rules, person_id
from tests.laws.oracle_traits import DAY, HOUR, MINUTE, SECOND, Answer, decimal_text, in_window, lines_of, local_date, typed, value_of
from tests.laws.oracle_values import Json, at_path, java_text, parse_object, parse_time, text_of

TYPES = ("track", "identify", "page", "screen", "group", "alias")
LONGEST_ID = 1_024
NO_ID = (
    "null", "undefined", "none", "nil", "nan", "n/a", "unknown", "anonymous", "guest", "[object Object]", "0", "-1",
    "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000",
)  # fmt: skip
NO_EMAIL = ("null", "undefined", "none", "n/a", "unknown", "test@test.com", "test@example.com", "noemail@noemail.com", "no@email.com", "none@none.com", "a@a.com")
NO_PHONE = ("0", "0000000000", "1111111111", "1234567890", "9999999999", "+11111111111")
NOBODY = {"user_id": NO_ID, "email": NO_EMAIL, "phone": NO_PHONE, "anonymous_id": NO_ID}
"""Values that the default rules block, as they stand and in lower, UPPER and Title spelling: a damaged message can hold any of them."""
Traits = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Record:
    """One record of the topic. ``received_at`` in microseconds; ``epoch`` is the micro-batch that read it, which only the ledger knows."""

    value: bytes | None
    partition: int
    offset: int
    received_at: int
    source: str | None = None
    epoch: int = 1

    @property
    def position(self) -> tuple[int, int, int]:
        return self.epoch, self.partition, self.offset


@dataclass(frozen=True)
class Event:
    """An accepted record. ``nodes`` has the owner first."""

    record: Record
    source: str
    message_id: str
    type: str
    name: str | None
    event_time: int
    nodes: tuple[str, ...]
    message: Json
    line: int | None = None
    """Which of its lines this is, where it stands for one."""


@dataclass(frozen=True)
class Log:
    """The verdict on every record. Duplicates are accepted records that do not count."""

    accepted: list[Event]
    counted: list[Event]
    rejected: list[tuple[Record, str]]

    @property
    def counts(self) -> dict[str, int]:
        duplicate = len(self.accepted) - len(self.counted)
        parts = {"accepted": len(self.counted), "rejected": len(self.rejected), "duplicate": duplicate}
        return parts | {"received": sum(parts.values())}


def read_log(records: Iterable[Record], secret: bytes, sources: Sources = EVERY) -> Log:
    """Verdicts in log order: the first (epoch, partition, offset) of a (source, message id) counts."""
    log, seen = Log([], [], []), set()
    for record in sorted(records, key=lambda record: record.position):
        found = judge(record, secret, sources)
        if isinstance(found, str):
            log.rejected.append((record, found))
            continue
        log.accepted.append(found)
        if (found.source, found.message_id) not in seen:
            seen.add((found.source, found.message_id))
            log.counted.append(found)
    return log


def judge(record: Record, secret: bytes, sources: Sources = EVERY) -> Event | str:
    """The event of a record, or the reason why there is none. Reasons in the order in which they are looked for."""
    try:
        text = (record.value or b"").decode("utf-8") if record.value is not None else None
    except UnicodeDecodeError:
        text = None
    if text is None:
        return "invalid_utf8"
    message = parse_object(text)
    if message is None:
        return "malformed_json"
    if any(message.get(body) is not None and not isinstance(message[body], dict) for body in ("properties", "traits", "context")):
        return "bad_properties"
    field = {name: text_of(message.get(name)) for name in ("type", "messageId", "userId", "anonymousId", "previousId", "event", "name", "timestamp")}
    if field["type"] is None:
        return "missing_type"
    if field["type"] not in TYPES:
        return "unknown_type"
    if not field["messageId"]:
        return "missing_message_id"
    if any(len(field[name] or "") > LONGEST_ID for name in ("messageId", "userId", "anonymousId", "previousId")):
        return "identifier_too_long"
    nodes = nodes_of(message, field, secret)
    if not nodes:
        return "missing_identifier"
    name = field["event"] if field["type"] == "track" else field["name"]
    if field["type"] == "track" and not name:
        return "missing_event_name"
    claimed = record.received_at if field["timestamp"] is None else parse_time(field["timestamp"])
    if claimed is None:
        return "bad_timestamp"
    if claimed < 0 or claimed > record.received_at + DAY:
        return "event_time_out_of_range"
    source = record.source if record.source is not None else "kafka"
    term = term_of(source, sources)
    if term and claimed + term <= record.received_at:
        return "expired"
    event_time = min(claimed, record.received_at if term else record.received_at + 5 * MINUTE)
    return Event(record, source, field["messageId"], field["type"], name, event_time, nodes, message)


def nodes_of(message: Json, field: Mapping[str, str | None], secret: bytes) -> tuple[str, ...]:
    """Nodes in priority order; equal ones once."""

    def trait(name: str) -> str | None:
        own = text_of((message.get("traits") or {}).get(name)) if field["type"] == "identify" else None
        return own if own is not None else text_of(at_path(message, f"context.traits.{name}"))

    previous = field["previousId"] if field["type"] == "alias" else None
    values = [
        ("user_id", field["userId"]),
        ("user_id", previous),
        ("email", trait("email")),
        ("phone", trait("phone")),
        ("anonymous_id", field["anonymousId"]),
        ("anonymous_id", previous),
    ]
    found = [node_of(namespace, value, secret) for namespace, value in values if value is not None]
    return tuple(dict.fromkeys(node for node in found if node is not None))


def node_of(namespace: str, value: str, secret: bytes) -> str | None:
    normal = one_spelling(namespace, value).strip(" \t\n\r\f\v")
    if namespace == "email":
        normal = "".join(chr(ord(letter) + 32) if "A" <= letter <= "Z" else letter for letter in normal)
    if namespace == "phone":
        digits = "".join(letter for letter in normal if letter in "0123456789")
        normal = "+" + digits if normal[:1] == "+" and digits else digits
    if not normal:
        return None
    digest = hmac.new(secret, namespace.encode() + b"\0" + normal.encode(), hashlib.sha256).hexdigest()
    return f"{namespace}:{digest[:32]}"


INVISIBLE = (
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F),
    (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Default_Ignorable_Code_Point of DerivedCoreProperties.txt."""


def one_spelling(namespace: str, value: str) -> str:
    """What Unicode says of a text beyond ASCII."""
    if all(ord(letter) < 128 for letter in value):
        return value
    seen = [letter for letter in value if not any(first <= ord(letter) <= last for first, last in INVISIBLE)]
    text = unicodedata.normalize("NFKC", "".join(seen))
    text = text.strip("".join(letter for letter in map(chr, range(0x3001)) if letter.isspace() and not "\x1c" <= letter <= "\x1f"))
    if namespace == "phone":
        return "".join(str(unicodedata.digit(letter)) if unicodedata.category(letter) == "Nd" else letter for letter in text)
    if namespace != "email":
        return text
    before, at, domain = text.rpartition("@")
    if at and any(ord(letter) > 127 for letter in domain):
        try:
            return folded(before) + at + idna.encode(domain, uts46=True).decode()
        except UnicodeError:
            pass
    return folded(text)


def folded(text: str) -> str:
    """Case folded and composed again and again until nothing changes."""
    while (after := unicodedata.normalize("NFKC", unicodedata.normalize("NFKD", text).casefold())) != text:
        text = after
    return text


def rules_of(secret: bytes) -> Rules:
    """Today's rules under a tenant's key."""
    return Rules(blocked=blocked_nodes(NOBODY, secret))


def blocked_nodes(values: Mapping[str, Iterable[str]], secret: bytes) -> frozenset[str]:
    """The nodes of values by namespace, each in all its spellings."""
    spelt = ((name, spelling) for name, ones in values.items() for one in ones for spelling in (one, one.lower(), one.upper(), one.title()))
    return frozenset(node for name, value in spelt if (node := node_of(name, value, secret)))


def persons_of(counted: Iterable[Event], rules: Rules, sources: Sources = EVERY) -> dict[str, frozenset[str]]:
    """Members of every person by id. An event shows its owner with each other identifier, unless its source has a term; the anchor is the member the log shows first."""
    lasting = [event for event in counted if not term_of(event.source, sources)]
    pairs = [(event.nodes[0], other, event.record.position) for event in lasting for other in event.nodes[1:] or event.nodes]
    return oracle_persons.judge(pairs, rules).members


def answers(counted: list[Event], traits: Traits, as_of: int, rules: Rules, sources: Sources = EVERY, now: int = 0) -> dict[str, dict[str, Answer]]:
    """Every trait of every person, as of a time in microseconds, asked at ``now`` (the same when it is not later)."""
    owned = defaultdict(list)
    for event in counted:
        owned[event.nodes[0]].append(event)
    return {
        person: {name: value_of(*in_term(trait, [event for node in members for event in owned[node]], as_of, sources, now), as_of) for name, trait in traits.items()}
        for person, members in persons_of(counted, rules, sources).items()
    }


def rows_of(counted: list[Event], key: Mapping[str, str], traits: Traits, as_of: int, zone: str) -> dict[tuple[str, ...], dict[str, Answer]]:
    """Every trait of every key of a view, the parts of a key in the order of ``key`` (paths by name): of the events that have them all, not empty, in 400 bytes."""
    having = defaultdict(list)
    of_lines = [path.partition("[].")[0] for path in key.values() if "[]." in path]
    occurrences = [line for event in counted for line in lines_of(event, of_lines[0])] if of_lines else counted
    for event in occurrences:
        parts = tuple(local_date(event.event_time, {"time_zone": zone}).isoformat() if path == "event_date" else typed(event, path, "string") for path in key.values())
        if all(parts) and len(parts[0].encode() if len(parts) == 1 else json_list(parts)) <= 400:
            having[parts].append(event)
    return {parts: {name: value_of(trait, events, as_of) for name, trait in traits.items()} for parts, events in having.items()}


def json_list(parts: Iterable[str]) -> bytes:
    return json.dumps(list(parts), ensure_ascii=False, separators=(",", ":")).encode()


__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "Event", "Log", "Record", "Rules", "answers", "decimal_text", "in_window", "java_text", "judge", "node_of", "person_id", "persons_of", "read_log", "rows_of", "rules_of", "typed"]
