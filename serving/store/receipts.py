"""Receipts: what an answer stands on, and the sealed id from which the answer can be computed again. answers.py makes them, replay.py opens them.

The id is base64url of a compact JSON and a truncated HMAC: nobody without the tenant's token key can make one, and it holds no identifier in clear.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

import msgspec

from millrace.errors import MillraceError

PERSON_ID = "person_id"
_SEAL_BYTES = 16
_PURPOSE = b"millrace receipt v1"


class ForgedReceipt(MillraceError):
    """The id was not made with this tenant's key, or has been changed."""


class Claims(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that decides the bytes of an answer. ``at`` is the time asked for, in microseconds. ``question``: empty for a profile, else what of identity was asked,
    or the person's id by which somebody asked for a profile that another holds now. ``rules``: the hash of the rules of segments, empty without. ``until``: when the first
    term ends of what the answer stands on (microseconds); 0 for never."""

    node: str
    manifest_id: int | None
    cut: int
    head: int
    at: int
    definitions_hash: str
    staleness_ms: int
    complete: bool
    decisions: int
    question: tuple[str | int, ...] = ()
    rules: str = ""
    until: int = 0


class Receipt(msgspec.Struct, gc=False):
    """What comes with every answer. ``as_of`` is the latest window end used; ``staleness_ms`` is how long ago the head came to exist; ``decisions`` is the last
    decision about persons that was taken in."""

    id: str
    manifest_id: int | None
    cut: int
    head: int
    as_of: str
    definitions_hash: str
    staleness_ms: int
    complete: bool
    decisions: int


def receipt_of(claims: Claims, sealer: "Sealer", *, as_of: str) -> Receipt:
    """The receipt of an answer with these claims; ``as_of``: the latest window end it used."""
    return Receipt(
        sealer.seal(claims), claims.manifest_id, claims.cut, claims.head, as_of, claims.definitions_hash, claims.staleness_ms, claims.complete, claims.decisions
    )


class Sealer:
    """Seals and opens claims under one tenant's key."""

    def __init__(self, token_secret: bytes) -> None:
        self._key = hmac.digest(token_secret, _PURPOSE, "sha256")
        self._encode = msgspec.json.Encoder().encode
        self._decoder = msgspec.json.Decoder(Claims)

    def seal(self, claims: Claims) -> str:
        text = self._encode(claims)
        return urlsafe_b64encode(text + self._mac(text)).rstrip(b"=").decode()

    def open(self, receipt_id: str) -> Claims:
        """What was sealed; ForgedReceipt for anything else."""
        try:
            sealed = urlsafe_b64decode(receipt_id.encode("ascii") + b"=" * (-len(receipt_id) % 4))
        except (Base64Error, ValueError):
            raise ForgedReceipt("the receipt id is not base64url; give it exactly as the answer had it") from None
        text, mac = sealed[:-_SEAL_BYTES], sealed[-_SEAL_BYTES:]
        if not hmac.compare_digest(mac, self._mac(text)) or urlsafe_b64encode(sealed).rstrip(b"=").decode() != receipt_id:
            raise ForgedReceipt("the receipt id was not made by this tenant; give it exactly as the answer had it")
        try:
            return self._decoder.decode(text)
        except msgspec.DecodeError:
            raise ForgedReceipt("the receipt was made by another version; ask for the profile again") from None

    def _mac(self, text: bytes) -> bytes:
        return hmac.digest(self._key, text, "sha256")[:_SEAL_BYTES]
