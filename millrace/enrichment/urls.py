"""Web addresses as messages carry them: their parameters and their host. Whatever cannot be read as one has neither."""

from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlsplit

import idna

MOST_PARAMETERS = 500


def split_url(text: str | None) -> SplitResult | None:
    """The parts of an address; None when it is none. One without a scheme is one of the web."""
    if not text or not text.strip():
        return None
    text = text.strip()
    try:
        return urlsplit(text if "://" in text.partition("?")[0] else f"//{text.lstrip('/')}")
    except ValueError:
        return None


def parameters(*texts: str | None) -> Mapping[str, str]:
    """Parameters by name in lower case, decoded, of addresses or bare queries (``?a=b``); the first that is not empty counts."""
    found: dict[str, str] = {}
    for text in texts:
        parts = split_url(text) if text and not text.startswith("?") else None
        query = parts.query if parts else (text or "").partition("#")[0].lstrip("?")
        if "=" not in query:
            continue
        try:
            pairs = parse_qsl(query, errors="replace", max_num_fields=MOST_PARAMETERS)
        except ValueError:  # more than anybody reads
            continue
        for name, value in pairs:
            if value.strip():
                found.setdefault(name.strip().lower(), value.strip())
    return found


def host_of(text: str | None) -> str | None:
    """The host of an address in lower case, as ASCII (IDNA, UTS 46); None when there is none. Of an ``android-app://`` it is the package."""
    parts = split_url(text)
    try:
        host = parts.hostname if parts else None
    except ValueError:
        return None
    if not host or any(letter.isspace() for letter in host):
        return None
    host = host.rstrip(".").lower()
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except UnicodeError:
            return None
    return host or None
