"""What the collector answers when it does not take a request: a status, a code, the field and a sentence. Raised by all its parts, answered by app.py."""

from millrace.errors import MillraceError

MAX_DEPTH = 64
MAX_ID_LENGTH = 1024
"""Characters of an identifier: the speed layer rejects longer ones."""
MAX_SHARED_BYTES = 4 * 1024 * 1024
"""What splicing the context of a batch into its events may add to one request."""

NOTHING_TAKEN = "nothing of this request was accepted"


class Refusal(MillraceError):
    """One answer other than 200. ``field`` names the place (``batch[3].userId``, ``body``, ``Authorization``); no sentence repeats a value.

    A 4xx says that nothing was accepted. A 503 cannot: what was sent before the broker went away may be in the log, and the client sends it again.
    """

    def __init__(self, status: int, code: str, field: str, message: str, *, retry_after_s: int | None = None) -> None:
        self.status = status
        self.code = code
        self.field = field
        self.retry_after_s = retry_after_s
        super().__init__(f"{message}; {NOTHING_TAKEN}" if status < 500 else message)

    def within(self, path: str) -> "Refusal":
        """The same refusal, its field seen from the whole request: ``userId`` of a message becomes ``batch[3].userId``."""
        self.field = path if self.field in ("", "body") else f"{path}.{self.field}"
        return self


def invalid(code: str, field: str, message: str) -> Refusal:
    """400: the request is wrong as it is, sending it again will not help."""
    return Refusal(400, code, field, message)


def too_large(code: str, field: str, message: str) -> Refusal:
    """413: the request, or a part of it, is over a limit."""
    return Refusal(413, code, field, message)
