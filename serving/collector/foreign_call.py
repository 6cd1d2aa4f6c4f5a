"""The endpoint of the dialects: reads a request, has it translated, and treats the messages as those of any batch. app.py calls it for the paths of routes.py."""

import re
from collections.abc import MutableMapping
from datetime import UTC, datetime
from time import perf_counter
from typing import Any
from urllib.parse import parse_qs

from millrace.definitions import Definitions
from millrace.settings import CollectorSettings
from serving.collector.access import WriteAccess
from serving.collector.body import Receive, read_body, refuse_length
from serving.collector.browsers import cookie_for, visitor_of
from serving.collector.delivery import Delivery
from serving.collector.dialects.arrival import Arrival, Limits, Translation
from serving.collector.dialects.routes import Dialect
from serving.collector.intake import BATCH, Intake, Opened
from serving.collector.objections import OBJECTIONS, withheld
from serving.collector.refusals import Refusal, invalid

TRANSLATED_SHARE = 4
"""A message may be this much longer than the event its client sent: it holds that event, and what it says once more."""
LARGEST_RECORD = 1_000_000
_PLACE = re.compile(r"batch\[(\d+)\]\.?(.*)")


class ForeignCalls:
    """All dialects of one tenant."""

    def __init__(self, settings: CollectorSettings, definitions: Definitions, *, access: WriteAccess, secret: bytes, delivery: Delivery) -> None:
        self._limits = Limits(settings.max_request_bytes, settings.max_event_bytes, settings.max_batch_events)
        largest = min(LARGEST_RECORD, TRANSLATED_SHARE * settings.max_event_bytes + 1_024)
        self._intake = Intake(secret, settings.model_copy(update={"max_event_bytes": largest}))
        self._definitions, self._access, self._delivery = definitions, access, delivery

    async def take(self, dialect: Dialect, key: str | None, scope: MutableMapping[str, Any], receive: Receive) -> list[tuple[bytes, bytes]]:
        """Returns when the broker has acknowledged all of the request: headers of the answer, which keep the identifier of the browser when a message goes by
        it. ``key`` is the write key before the path."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        source = self._source(headers, key or next(iter(parse_qs(query).get("writeKey", [])), None))
        refuse_length(headers.get("content-length", "").encode("latin-1"), limit=self._limits.request_bytes)
        body = await read_body(receive, limit=self._limits.request_bytes)
        began = perf_counter()
        visitor = visitor_of(headers.get("cookie", ""))
        declared = None if source is None else self._definitions.source(source)
        arrival = Arrival(scope["method"], query, headers, body, self._limits, datetime.now(UTC), visitor, declared)
        translation = dialect.translate(arrival)
        source = source or self._source_of_body(translation)
        objects = any(headers.get(name.decode()) == "1" for name in OBJECTIONS)
        treatment = self._definitions.source(source).do_not_track if objects else "keep"
        try:
            records = self._intake.records(BATCH, Opened(None, None, [event.text for event in translation.events], None, False))
            kept = withheld(records, treatment, self._intake)
            await self._delivery.deliver(dialect.name, kept, source, began=began, received=len(records))
        except Refusal as refusal:
            raise _as_sent(refusal, translation) from None
        is_secure = headers.get("x-forwarded-proto", scope.get("scheme")) == "https"
        return [cookie_for(visitor, is_secure=is_secure)] if translation.visited and treatment == "keep" else []

    def _source(self, headers: dict[str, str], key: str | None) -> str | None:
        """The source of the key that came with the request; None when it came without one."""
        if "authorization" in headers:
            return self._access.source_of_header(headers["authorization"].encode("latin-1"))
        return None if key is None else self._access.source_of_body(key)

    def _source_of_body(self, translation: Translation) -> str:
        sources = {self._access.source_of_body(key) for key in translation.write_keys}
        if len(sources) > 1:
            raise invalid("several_sources", "writeKey", f"found events of {len(sources)} sources, allowed one a request; send those of each by themselves")
        return next(iter(sources), None) or self._access.source_of_body(None)


def _as_sent(refusal: Refusal, translation: Translation) -> Refusal:
    """The refusal with its place and field as the client calls them."""
    if found := _PLACE.fullmatch(refusal.field):
        place = translation.events[int(found[1])].place
        refusal.field = ".".join(part for part in (place, translation.names.get(found[2], found[2])) if part) or "body"
    return refusal
