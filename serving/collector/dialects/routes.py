"""Which path speaks which dialect, in one table. app.py looks requests up in it; the seven calls of Segment that need no translation are not here.

A path may also be asked for below a write key (``/<write key>/com.snowplowanalytics.snowplow/tp2``), for clients that can be told a host and nothing else.
"""

from typing import NamedTuple

from serving.collector.dialects import cloudevents, pixel, posthog, snowplow, webhook
from serving.collector.dialects.arrival import Translate
from serving.collector.messages import CALLS

SHORT_PATHS = {
    "/v1/b": "batch", "/v1/i": "identify", "/v1/t": "track", "/v1/p": "page", "/v1/s": "screen", "/v1/g": "group", "/v1/a": "alias", "/v1/import": "batch",
    "/beacon/v1/batch": "batch",
}  # fmt: skip
"""Other paths of the seven calls: analytics-next's one-letter ones, Segment's import, RudderStack's beacon."""

GIF = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"


class Answer(NamedTuple):
    """What a client is told when all of its events are in the log."""

    content_type: bytes
    body: bytes


class Dialect(NamedTuple):
    """``name`` is its label in the figures."""

    name: str
    translate: Translate
    answer: Answer


_TAKEN = Answer(b"application/json", b'{"success": true}')
_IMAGE = Answer(b"image/gif", GIF)

_POSTHOG = Dialect("posthog", posthog.translate, Answer(b"application/json", b'{"status": "Ok"}'))
_POSTHOG_PATHS = ("/batch", "/capture", "/e", "/i/v0/e", "/track")

DIALECTS = {
    ("GET", "/i"): Dialect("snowplow", snowplow.from_get, _IMAGE),
    ("POST", "/com.snowplowanalytics.snowplow/tp2"): Dialect("snowplow", snowplow.from_post, Answer(b"text/plain", b"ok")),
    ("POST", "/v1/cloudevents"): Dialect("cloudevents", cloudevents.translate, _TAKEN),
    ("POST", "/v1/webhook"): Dialect("webhook", webhook.translate, _TAKEN),
    **{("POST", path): _POSTHOG for path in _POSTHOG_PATHS},
    **{("GET", f"/v1/pixel/{call}"): Dialect("pixel", pixel.of_call(call), _IMAGE) for call in CALLS},
}
"""By method and path without a last slash."""
NAMES = tuple(sorted({dialect.name for dialect in DIALECTS.values()}))


def find(method: str, path: str) -> tuple[Dialect, str | None] | None:
    """The dialect of a path, and the write key before it when there is one."""
    path = path.rstrip("/")
    if found := DIALECTS.get((method, path)):
        return found, None
    key, slash, rest = path[1:].partition("/")
    found = DIALECTS.get((method, slash + rest))
    return (found, key) if found else None
