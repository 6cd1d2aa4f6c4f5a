"""The body of a request, whole, inflated and never larger than the limit: app.py reads it here before anything is parsed."""

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from serving.collector.refusals import Refusal, invalid, too_large

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

GZIP = 16 + zlib.MAX_WBITS
GZIP_MAGIC = b"\x1f\x8b"


class ClientGone(Exception):
    """The client closed the connection before its body was complete: there is nobody to answer."""


def _too_large(found: str, limit: int) -> Refusal:
    return too_large("request_too_large", "body", f"found {found}, allowed {limit} bytes a request after inflating; send smaller batches")


def refuse_length(content_length: bytes, *, limit: int) -> None:
    """Refuses by the declared length, before a byte of the body is read. What is no number is left to the HTTP server and to ``read_body``."""
    digits = content_length.strip().lstrip(b"0")
    if digits.isdigit() and (len(digits) > 18 or int(digits) > limit):
        raise _too_large("a longer body", limit)


async def read_body(receive: Receive, *, limit: int) -> bytes:
    """All of the body as sent; 413 as soon as it is larger than the limit, ClientGone when it ends early."""
    message = await receive()
    chunks: list[bytes] = []
    size = 0
    while message["type"] == "http.request":
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(f"more than {limit} bytes", limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        message = await receive()
    raise ClientGone


def declared_encoding(headers: Mapping[str, str]) -> bytes:
    """The Content-Encoding of a request, empty when it has none."""
    return headers.get("content-encoding", "").encode("latin-1")


def inflate(body: bytes, encoding: bytes, *, limit: int) -> bytes:
    """The body behind a Content-Encoding. The limit holds while inflating, so a bomb costs its limit and not its size."""
    name = encoding.strip().lower()
    if name in (b"", b"identity"):
        return body
    if name not in (b"gzip", b"x-gzip"):
        raise Refusal(415, "unknown_encoding", "Content-Encoding", "found an encoding other than gzip, allowed gzip or none; send the body as it is or with gzip")
    inflated = bytearray()
    while body:
        stream = zlib.decompressobj(GZIP)
        try:
            inflated += stream.decompress(body, limit + 1 - len(inflated))
        except zlib.error:
            raise invalid("malformed_gzip", "body", "found bytes that are not gzip, allowed a complete gzip stream; compress the body or leave Content-Encoding out") from None
        if len(inflated) > limit:
            raise _too_large(f"a gzip body that inflates to more than {limit} bytes", limit)
        if not stream.eof:
            raise invalid("malformed_gzip", "body", "found a gzip stream that ends early, allowed a complete one; send all of it")
        body = stream.unused_data
    return bytes(inflated)
