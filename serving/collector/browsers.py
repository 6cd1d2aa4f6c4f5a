"""What browsers need besides an answer: permission for pages of other origins (CORS), and an identifier in a first-party cookie. The endpoints call it."""

import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

COOKIE = "millrace_id"
COOKIE_AGE_S = 365 * 86_400
ALLOWED_HEADERS = b"authorization, content-encoding, content-type, anonymousid, x-retry-count, sp-anonymous"
_VISITOR = re.compile(rf"(?:^|;\s*){COOKIE}=([A-Za-z0-9-]{{8,64}})(?:;|$)")


def origin_of(headers: Headers) -> bytes | None:
    """The origin of the page that asks, when it is a browser that asks for one."""
    for name, value in headers:
        if name == b"origin":
            return value
    return None


def permission(origin: bytes) -> Headers:
    """Any page may send: who may is decided by the write key. The answers tell a page nothing but that its events were taken."""
    return [
        (b"access-control-allow-origin", origin), (b"access-control-allow-credentials", b"true"), (b"access-control-expose-headers", b"Retry-After"),
        (b"vary", b"Origin"),
    ]  # fmt: skip


async def answer_preflight(headers: Headers, send: Send) -> None:
    """Says before a request what it may hold: whatever headers the page names, since none of them is trusted."""
    named = dict(headers)
    allowed = [
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"), (b"access-control-max-age", b"86400"),
        (b"access-control-allow-headers", named.get(b"access-control-request-headers", ALLOWED_HEADERS)),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 204, "headers": [*permission(named.get(b"origin", b"*")), *allowed, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


def permitting(send: Send, origin: bytes) -> Send:
    """The same, with the permission for a page of that origin on the answer."""

    async def send_with_permission(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *permission(origin)]}
        await send(message)

    return send_with_permission


def visitor_of(cookie: str) -> str:
    """The identifier in a Cookie header, or a new one."""
    found = _VISITOR.search(cookie)
    return found[1] if found else str(uuid.uuid4())


def cookie_for(visitor: str, *, is_secure: bool) -> tuple[bytes, bytes]:
    """The header that keeps the identifier: of this host alone, out of reach of scripts."""
    return (b"set-cookie", f"{COOKIE}={visitor}; Path=/; Max-Age={COOKIE_AGE_S}; HttpOnly; SameSite=Lax{'; Secure' if is_secure else ''}".encode())
