"""Who may send, and as which source: a write key by basic auth (the key as user name, empty password) or as ``writeKey`` in the body."""

import base64
import binascii
from collections.abc import Mapping
from hashlib import sha256

from serving.collector.refusals import Refusal


class WriteAccess:
    """Finds the source of a write key; 401 for a key that nobody has. Keys are looked up by their digest, so that the time it takes tells nothing of them."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """``sources``: name of the source by write key."""
        self._keys = {sha256(key.encode()).digest(): source for key, source in sources.items()}
        self._headers = {sha256(b"Basic " + base64.b64encode(key.encode() + b":")).digest(): source for key, source in sources.items()}

    def source_of_header(self, header: bytes) -> str:
        """An Authorization header, when there is one, decides alone: a right key in the body does not mend a wrong one here."""
        if source := self._headers.get(sha256(header).digest()):
            return source
        scheme, _, encoded = header.partition(b" ")
        if scheme.lower() != b"basic":
            raise _unknown("Authorization", "a scheme other than Basic")
        try:
            user = base64.b64decode(encoded.strip(), validate=True).partition(b":")[0]
        except (binascii.Error, ValueError):
            raise _unknown("Authorization", "a value that is not base64") from None
        return self._source_of(user, "Authorization")

    def source_of_body(self, write_key: str | None) -> str:
        if write_key is None:
            raise _unknown("Authorization", "no write key")
        return self._source_of(write_key.encode(), "writeKey")

    def _source_of(self, key: bytes, field: str) -> str:
        if source := self._keys.get(sha256(key).digest()):
            return source
        raise _unknown(field, "a write key nobody has")


def _unknown(field: str, found: str) -> Refusal:
    advice = "allowed the write key of this tenant or of one of its sources; send it as the user name of basic auth with an empty password, or as writeKey in the body"
    return Refusal(401, "unknown_write_key", field, f"found {found}, {advice}")
