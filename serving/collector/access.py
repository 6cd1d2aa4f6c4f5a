"""Who may send: the tenant's write key, by basic auth (the key as user name, empty password) or as ``writeKey`` in the body."""

import base64
import binascii
import hmac

from serving.collector.refusals import Refusal


class WriteAccess:
    """Checks against one write key in constant time; 401 otherwise."""

    def __init__(self, write_key: str) -> None:
        self._key = write_key.encode()
        self._header = b"Basic " + base64.b64encode(self._key + b":")

    def check_header(self, header: bytes) -> None:
        """An Authorization header, when there is one, decides alone: a right key in the body does not mend a wrong one here."""
        if hmac.compare_digest(header, self._header):
            return
        scheme, _, encoded = header.partition(b" ")
        if scheme.lower() != b"basic":
            raise self._unknown("Authorization", "a scheme other than Basic")
        try:
            user = base64.b64decode(encoded.strip(), validate=True).partition(b":")[0]
        except (binascii.Error, ValueError):
            raise self._unknown("Authorization", "a value that is not base64") from None
        if not hmac.compare_digest(user, self._key):
            raise self._unknown("Authorization", "a write key nobody has")

    def check_body_key(self, write_key: str | None) -> None:
        if write_key is None:
            raise self._unknown("Authorization", "no write key")
        if not hmac.compare_digest(write_key.encode(), self._key):
            raise self._unknown("writeKey", "a write key nobody has")

    def _unknown(self, field: str, found: str) -> Refusal:
        advice = "allowed the write key of this tenant; send it as the user name of basic auth with an empty password, or as writeKey in the body"
        return Refusal(401, "unknown_write_key", field, f"found {found}, {advice}")
