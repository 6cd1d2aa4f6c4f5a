"""Reads the body of a request before anything else does, up to a limit: without one, whoever reaches the port fills the memory, key or no key. app.py puts it first."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from serving.api.refusals import ApiError, refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 4 * 1024 * 1024
"""A thousand keys of a thousand characters of four bytes."""


class Bounded:
    """Middleware that answers 413 to larger bodies and hands smaller ones on whole."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":  # nobody reads the body of a GET
            await self._app(scope, receive, send)
            return
        if _declared(scope["headers"]) > MAX_BODY_BYTES:
            await _too_large(scope, receive, send)
            return
        body = bytearray()
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await receive()
            if message["type"] != "http.request":
                return  # the client has gone
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                await _too_large(scope, receive, send)
                return
        whole = [{"type": "http.request", "body": bytes(body), "more_body": False}]
        await self._app(scope, lambda: _next(whole, receive), send)


async def _next(whole: list[Message], receive: Receive) -> Message:
    return whole.pop() if whole else await receive()


def _declared(headers: list[tuple[bytes, bytes]]) -> int:
    """The length the client says the body has; the server has seen to it that it is a number."""
    return next((int(value) for name, value in headers if name == b"content-length"), 0)


async def _too_large(scope: Message, receive: Receive, send: Send) -> None:
    error = ApiError(413, "request_too_large", f"found a larger body, allowed are {MAX_BODY_BYTES} bytes; ask for fewer at once")
    await refused(error)(scope, receive, send)
