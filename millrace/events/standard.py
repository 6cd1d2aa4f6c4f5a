"""From Kafka records to standard events: read, standardise, give each bad record its reason; Arrow in, Arrow out. Pure: no session, I/O, clock.

The speed layer calls it on the records of an epoch.
"""

from collections.abc import Iterable, Mapping
from hashlib import md5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.enrichment.rules import Enrichment
from millrace.events.event_times import claimed_times
from millrace.events.messages import Messages
from millrace.events.terms import terms_in_micros
from millrace.events.values import ValueReader, value_specs
from millrace.identity.identifiers import Nodes, identifiers_of
from millrace.tables.catalogue import TIME
from millrace.tracking_plan.records import PlanRules, Verdicts, WantedNumbers, violations_column
from millrace.traits.states import Reads, State

VIOLATES_PLAN = "plan_violation"
EXPIRED = "expired"
"""Of a source with a term, which was over when the record came."""
TYPES = ("track", "identify", "page", "screen", "group", "alias")
FUTURE_LIMIT = 24 * 3_600 * 1_000_000
CLAMP = 5 * 60 * 1_000_000
MAX_ID_LENGTH = 1_024
_IDS = ("messageId", "userId", "anonymousId", "previousId")


class Standardizer:
    """Standardises records for what reads their values, states and keys of all views, under a tenant's token secret, its tracking plan (None: none), its rules of enriched
    values, and the terms of its sources in seconds."""

    def __init__(
        self, readers: Iterable[Reads], secret: bytes, *, rules: PlanRules | None = None, enrichment: Enrichment | None = None, terms: Mapping[str, int] | None = None
    ) -> None:
        readers, self._terms = list(readers), terms or {}
        self._wanted, self._rules = WantedNumbers([reader for reader in readers if isinstance(reader, State)]), rules
        self._reader = ValueReader(value_specs(readers), enrichment)
        self._nodes = Nodes(secret)

    def standardize(self, records: pa.Table) -> pa.Table:
        """One standard row per record. In: partition, offset, received_at, source, payload (bytes), stamp where the collector may have given a verdict. Out: those
        and event_time (clamped), message_id, type, name, identifiers, node (the owner), dedup_key (16 bytes of (source, message id)), a column a typed value,
        reason (null when accepted), violations when a row has any."""
        messages = self._reader.read(records["payload"])
        fields = {name: messages.field(name) for name in ("type", *_IDS)}
        kind = fields["type"]
        event, other, is_track = messages.field("event"), messages.field("name"), _true(pc.equal(kind, "track"))
        name = pc.if_else(pa.array(is_track), event, other)
        message_id = _nonempty(fields["messageId"])
        lists, node = identifiers_of(_places(messages, fields), self._nodes)
        received = _whole(records["received_at"]).cast(pa.int64()).to_numpy()
        spelled = messages.field("timestamp")
        times, is_time = claimed_times(spelled)
        unclaimed = spelled.is_null().to_numpy(zero_copy_only=False)
        claimed = np.where(unclaimed, received, times)
        term = terms_in_micros(records["source"], self._terms)
        wrong = {
            "missing_type": kind.is_null().to_numpy(zero_copy_only=False),
            "unknown_type": ~_true(pc.is_in(kind, pa.array(TYPES))),
            "missing_message_id": message_id.is_null().to_numpy(zero_copy_only=False),
            "identifier_too_long": np.logical_or.reduce([_true(pc.greater(pc.utf8_length(fields[field]), MAX_ID_LENGTH)) for field in _IDS]),
            "missing_identifier": node.is_null().to_numpy(zero_copy_only=False),
            "missing_event_name": is_track & _nonempty(name).is_null().to_numpy(zero_copy_only=False),
            "bad_timestamp": ~(unclaimed | is_time),
            "event_time_out_of_range": (claimed < 0) | (claimed > received + FUTURE_LIMIT),
            EXPIRED: (term > 0) & (claimed + term <= received),
        }
        happened = np.minimum(claimed, received + np.where(term > 0, 0, CLAMP))  # no term begins later than the record came
        columns = {
            "message_id": message_id, "type": kind, "name": name, "identifiers": lists, "node": node,
            "event_time": pa.array(happened).cast(TIME),
            "dedup_key": _dedup_keys(_whole(records["source"]), message_id), "reason": _reasons(messages.problems, wrong),
            **self._reader.columns(messages, happened),
        }  # fmt: skip
        self._judge(records, messages, columns)
        return pa.table({**{name: records[name] for name in records.column_names}, **columns})

    def _judge(self, records: pa.Table, messages: Messages, columns: dict[str, pa.Array]) -> None:
        """Adds violations to the columns when there are any, and the reason of those that go to quarantine."""
        kind, name = columns["type"], columns["name"]
        found: Verdicts = self._wanted.verdicts(messages, kind, name) if messages.unusable or messages.untold else {}
        if self._rules is not None:
            planned = self._rules.verdicts(records, kind, name, columns["reason"].is_null().to_numpy(zero_copy_only=False))
            if refused := self._rules.refused(planned, records["source"]):
                reasons = columns["reason"].to_pylist()
                for row in refused:
                    reasons[row] = VIOLATES_PLAN
                columns["reason"] = pa.array(reasons, pa.string())
            found = {row: (*planned.get(row, ()), *found.get(row, ())) for row in {**planned, **found}}
        if found:
            columns["violations"] = violations_column(found, len(records))


def _places(messages: Messages, fields: Mapping[str, pa.Array]) -> list[tuple[str, pa.Array]]:
    """Clear identifiers, highest priority first. E-mail and phone: traits of an identify call, otherwise the traits in its context. An alias' previousId may
    have been either kind of id, so it is a node of both."""
    is_identify, is_alias = (pc.equal(fields["type"], name) for name in ("identify", "alias"))
    absent = pa.scalar(None, pa.string())
    previous = pc.if_else(is_alias, fields["previousId"], absent)
    email, phone = (
        pc.coalesce(pc.if_else(is_identify, messages.value(f"traits.{name}", "string"), absent), messages.value(f"context.traits.{name}", "string"))
        for name in ("email", "phone")
    )
    return [
        ("user_id", fields["userId"]), ("user_id", previous), ("email", email), ("phone", phone), ("anonymous_id", fields["anonymousId"]), ("anonymous_id", previous),
    ]  # fmt: skip


def _dedup_keys(source: pa.Array, message_id: pa.Array) -> pa.Array:
    texts = pc.binary_join_element_wise(source.cast(pa.string()), message_id.fill_null(""), "\0").cast(pa.binary()).to_pylist()
    digests = b"".join([md5(text, usedforsecurity=False).digest() for text in texts])
    return pa.Array.from_buffers(pa.binary(16), len(texts), [None, pa.py_buffer(digests)]).cast(pa.binary())


def _reasons(problems: Mapping[int, str], wrong: Mapping[str, np.ndarray]) -> pa.Array:
    """The first thing wrong with each record, as a code of the table ``log/rejected``; null when it is accepted."""
    codes = np.select(list(wrong.values()), range(len(wrong)), default=-1)
    names = [*wrong, *sorted(set(problems.values()))]
    for row, problem in problems.items():
        codes[row] = names.index(problem)
    return pa.array(names).take(pa.array(codes, mask=codes < 0))


def _nonempty(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _true(flags: pa.Array) -> np.ndarray:
    return flags.fill_null(False).to_numpy(zero_copy_only=False)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece. Not of payloads: those of an epoch may be more than the 2 GB that one piece can hold."""
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
