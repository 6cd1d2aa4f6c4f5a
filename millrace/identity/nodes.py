"""Identifiers as nodes: the collector keys records by the owner, the speed layer makes the nodes of events, the store looks people up.

A node is ``namespace:token``; the token is a keyed hash of the normalised value, so tables and logs hold no clear identifier.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

from millrace.identity.spellings import spelt

NAMESPACES = ("user_id", "email", "phone", "anonymous_id")
"""Namespaces of the default tenant, highest priority first: the first one an event carries owns its measures (law 10)."""

TOKEN_LENGTH = 32
WHITESPACE = " \t\n\r\f\v"
_UPPER_TO_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_NOT_DIGIT = re.compile("[^0-9]")


def normalise(namespace: str, value: str) -> str:
    """The value as it is hashed: trimmed; e-mail in lower case; phone as digits with a leading plus. Empty means absent. One that is not ASCII is brought to
    one spelling first; whether it is ASCII, a text knows without being read."""
    trimmed = (value if value.isascii() else spelt(namespace, value)).strip(WHITESPACE)
    if namespace == "email":
        return trimmed.translate(_UPPER_TO_LOWER)
    if namespace == "phone":
        digits = _NOT_DIGIT.sub("", trimmed)
        return f"+{digits}" if digits and trimmed.startswith("+") else digits
    return trimmed


def node_of(namespace: str, value: str, secret: bytes) -> str | None:
    """Node of one identifier under the tenant's key; None when nothing is left after normalising."""
    normal = normalise(namespace, value)
    if not normal:
        return None
    token = hmac.new(secret, f"{namespace}\0{normal}".encode(), hashlib.sha256).hexdigest()
    return f"{namespace}:{token[:TOKEN_LENGTH]}"


def hint_of(namespace: str, normal: str) -> str:
    """What an answer shows of an identifier: enough to recognise one's own, too little to learn another's."""
    if namespace == "email":
        at = normal.find("@", 1)
        return f"{normal[0]}•••{normal[at:] if at > 0 else ''}"
    if namespace == "phone":
        return f"•••{normal[-2:]}"
    return f"{normal[:2]}•••{normal[-2:]}" if len(normal) >= 8 else "•••"


def node_of_key(key: str, secret: bytes) -> str | None:
    """Node of ``namespace:value``; None when there is no such namespace or nothing is left of the value."""
    namespace, _, value = key.partition(":")
    try:
        return node_of(namespace, value, secret) if namespace in NAMESPACES else None
    except UnicodeEncodeError:  # half a surrogate pair: no event can have carried it
        return None


def owner_node(*, type: str, user_id: str | None, anonymous_id: str | None, email: str | None, phone: str | None, secret: bytes) -> str | None:
    """Node of the highest-priority identifier of a message; ``email`` and ``phone`` are those of its traits. None when it has none."""
    values = {"user_id": user_id, "email": email, "phone": phone, "anonymous_id": anonymous_id}
    for namespace in NAMESPACES:
        if (value := values[namespace]) and (node := node_of(namespace, value, secret)):
            return node
    return None


def namespace_of(node: str) -> str:
    return node.partition(":")[0]


def person_id(anchor: str) -> str:
    """Id of the person whose earliest member in log order is ``anchor``."""
    return f"p_{hashlib.sha256(anchor.encode()).hexdigest()[:24]}"


def by_priority(nodes: Iterable[str]) -> list[str]:
    """Nodes in namespace priority, then by token: the one order in which answers list them."""
    rank = {namespace: position for position, namespace in enumerate(NAMESPACES)}
    return sorted(nodes, key=lambda node: (rank.get(namespace_of(node), len(rank)), node))
