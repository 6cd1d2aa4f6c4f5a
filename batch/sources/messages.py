"""Target of a pull: messages of the Segment spec in the tenant's topic, as ``pull.events`` maps them. The stream makes events of them like any others.

A message keeps its id however often its row is read: the declared one, or one of the source, the part and the row itself (law 6).
"""

import hashlib
from collections import Counter
from datetime import datetime
from typing import Any

from batch.sources.connector import Batch
from batch.sources.entities import Delivered
from batch.sources.shaping import Refused, Row, numbered
from batch.sources.values import to_json
from millrace.events.pulls import Pull
from millrace.events.webhooks import Webhook, WrongValue
from millrace.sending import EventSender, Outgoing

AT_ONCE = 1_000
"""Records that are sent before the broker's answers are waited for."""

LARGEST = 900_000
"""Bytes of a message: a broker takes records of 1 MB, with key and headers."""


class EventTarget:
    """One source's messages. ``sender``: None for a dry run. ``digests``: of the rows of the part so far, the number of equal ones included."""

    def __init__(self, source: str, pull: Pull, sender: EventSender | None) -> None:
        self._source, self._sender = source, sender
        self._mapping: Webhook = pull.events  # type: ignore[assignment]
        self._seen: Counter[bytes] = Counter()
        self.digests: list[bytes] = []

    def begin(self, part: str) -> None:
        """A part is read from its beginning."""
        self._seen.clear()
        self.digests = []

    def noted(self, *, is_whole: bool) -> list[bytes]:
        """Digests to be noted with a position: of the whole part, or of what came since the position before."""
        found = self.digests
        if not is_whole:
            self.digests = []
        return found

    def deliver(self, batch: Batch, rows: list[Row], as_of: datetime, known: set[bytes]) -> Delivered:
        """The broker has the messages of all rows that are not ``known`` when this returns."""
        digests = numbered(rows, self._seen)
        refused: list[Refused] = []
        outgoing: list[Outgoing] = []
        unchanged = 0
        for row, digest in zip(rows, digests, strict=True):
            if digest in known:
                unchanged += 1
            elif isinstance(found := self.message(batch, row, digest, as_of), Refused):
                refused.append(found)
            elif len(text := to_json(found)) > LARGEST:
                refused.append(Refused(row.place, "too_large", None, to_json(row.values).decode()))
            else:
                outgoing.append(Outgoing(found["messageId"], text, self._source))
        if self._sender is not None:
            for start in range(0, len(outgoing), AT_ONCE):
                self._sender.send(outgoing[start : start + AT_ONCE])
        wrong = {one.place for one in refused}
        self.digests += [digest for row, digest in zip(rows, digests, strict=True) if row.place not in wrong]
        return Delivered(len(outgoing), unchanged, refused)

    def message(self, batch: Batch, row: Row, digest: bytes, as_of: datetime) -> dict[str, Any] | Refused:
        """The message of a row; refused when the mapping finds something else than it declares."""
        try:
            fields = self._mapping.fields_in(row.values)
        except WrongValue as wrong:
            return Refused(row.place, "wrong_type", wrong.at.lstrip("/") or wrong.name, to_json(row.values).decode())
        made = hashlib.blake2b(to_json([self._source, batch.part]) + digest, digest_size=16).hexdigest()
        return {"messageId": f"pull-{made}", "timestamp": as_of.isoformat(), **fields, "original": {"dialect": "pull", "event": row.values}}
