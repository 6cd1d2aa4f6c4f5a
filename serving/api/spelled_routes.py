"""Routes below an identifier. An identifier may hold any character, URL-encoded; one that ends like such a route is still a profile. segments.py uses it."""

from collections.abc import MutableMapping
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import Match


class BelowKey(APIRoute):
    """A route ``…{key:path}/…``, taken only when the words after the key stand in the path of the request as they are, not encoded with the key."""

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        words = self.path.rpartition("{key:path}/")[2].split("/")
        given = scope.get("raw_path", b"").partition(b"?")[0].split(b"/")[-len(words) :]
        if any(not word.startswith("{") and word.encode() != found for word, found in zip(words, given, strict=False)):
            return Match.NONE, {}
        return super().matches(scope)
