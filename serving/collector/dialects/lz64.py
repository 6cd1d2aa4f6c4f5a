"""The lz-string compression in base64 (``compression=lz64``) of older PostHog clients. posthog.py calls it.

A stream of codes, the lowest bit of each first: 0 and 1 announce a character of 8 and 16 bits, 2 is the end, any other is a text seen before. Each code teaches
one more text: the one before and the first character of this one. Whenever the texts no longer fit, a code has one bit more.
"""

import base64
import binascii
from collections.abc import Iterator

from serving.collector.refusals import Refusal, invalid, too_large

_CHARACTER, _LONG_CHARACTER, _END = 0, 1, 2
_WIDTH = {_CHARACTER: 8, _LONG_CHARACTER: 16}


def decompress(text: bytes, *, limit: int) -> bytes:
    """The text in UTF-8, never longer than the limit while it is made."""
    try:
        text = text.rstrip(b"=")  # its alphabet is that of base64, but a stream may end within any digit
        bits = _bits(base64.b64decode(text + b"A" * (-len(text) % 4), validate=True))
        pieces, size = [], 0
        for piece in _pieces(bits):
            size += len(piece)
            if size > limit:
                raise too_large("request_too_large", "data", f"found data that is longer than {limit} bytes without its compression, allowed {limit}; send smaller batches")
            pieces.append(piece)
        # the codes are of UTF-16: one character may be two of them
        return "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le").encode()
    except (binascii.Error, ValueError, KeyError, StopIteration, RuntimeError):
        raise _malformed() from None


def _malformed() -> Refusal:
    return invalid("malformed_lz64", "data", "found data that is not lz-string in base64, allowed a complete stream of it; compress the JSON of the events so or send it as it is")


def _bits(data: bytes) -> Iterator[int]:
    return (byte >> place & 1 for byte in data for place in range(7, -1, -1))


def _number(bits: Iterator[int], width: int) -> int:
    found = 0
    for place in range(width):
        bit = next(bits, None)
        if bit is None:
            raise ValueError("the stream ends early")
        found |= bit << place
    return found


def _pieces(bits: Iterator[int]) -> Iterator[str]:
    """The texts that the codes stand for, in order."""
    code = _number(bits, 2)
    if code == _END:
        return
    before = chr(_number(bits, _WIDTH[code]))
    yield before
    known, width, room = ["", "", "", before], 3, 4
    while (code := _number(bits, width)) != _END:
        if code in _WIDTH:
            known.append(chr(_number(bits, _WIDTH[code])))
            code = len(known) - 1
            width, room = (width, room - 1) if room > 1 else (width + 1, 2**width)
        piece = known[code] if code < len(known) else before + before[0]
        if code > len(known):
            raise ValueError("a code of a text that was never said")
        yield piece
        known.append(before + piece[0])
        before = piece
        width, room = (width, room - 1) if room > 1 else (width + 1, 2**width)
