"""Profiles: one by any identifier of the person, many at once, and the replay of a receipt."""

import asyncio
import re
from datetime import UTC, datetime

from deltalake.exceptions import DeltaError
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.identity.nodes import node_of_key
from millrace.traits.finish import micros
from serving.api.access import Access
from serving.api.description import one, several
from serving.api.refusals import JSON, ApiError, not_found
from serving.explain.answering import Identities
from serving.segments.judges import Judges
from serving.store.answers import Found, Memberships, Missing, Pinned, answer, encode_json
from serving.store.keyed import VIEW
from serving.store.receipts import PERSON_ID, ForgedReceipt
from serving.store.replay import ReceiptExpired, replay
from serving.store.store import Store

MOST_KEYS = 1_000
AT_ONCE = 50
"""Answers made before other requests get a turn."""
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_missing = Missing()
_PERSON = re.compile(rf"{PERSON_ID}:(p_[0-9a-f]{{24}})")


class Lookup(BaseModel):
    """Keys as ``namespace:value``, answered in their order at one head and one time."""

    model_config = ConfigDict(extra="forbid")

    profiles: list[str] = Field(max_length=MOST_KEYS, examples=[["user_id:1", "email:a@example.org"]])
    as_of: str | None = Field(None, examples=["2017-12-31T23:59:59Z"])


def profile_routes(store: Store, secret: bytes, access: Access, identities: Identities, memberships: Judges) -> APIRouter:
    """Routes for holders of the read key."""
    routes = APIRouter(tags=["profiles"], dependencies=[Depends(access.reads), Depends(only_as_of)])
    one_replay = asyncio.Semaphore(1)

    @routes.get("/v1/profiles/{key:path}", summary="The profile of the person an identifier belongs to", responses=one("Profile"))
    async def profile(key: str, as_of: str | None = None) -> Response:
        """``key`` is ``namespace:value`` (user_id, email, phone, anonymous_id), URL-encoded, or ``person_id:`` and an id that an answer had: also one that another
        person holds by now, who then says ``asked_id``. ``as_of`` (RFC 3339) moves the windows, default now; a trait over a lifetime holds all
        events up to the head, later ones than ``as_of`` too."""
        check_serving(store)
        (pinned,) = store.pin([node_asked(key, store, secret)])
        now = store.clock()
        at = time_asked(as_of, now)
        if pinned is None:
            return not_found()
        return Response(encode_json(answer(pinned, at=at, now=now, sealer=store.sealer, memberships=memberships, asked_id=_asked_id(key))), media_type=JSON)

    @routes.post("/v1/profiles:lookup", summary="Up to 1,000 profiles at one head", responses=several("Found", "Missing"))
    async def lookup(asked: Lookup, as_of: str | None = None) -> Response:
        """Answers in the order of the keys, each with ``found``."""
        check_serving(store)
        pinned = store.pin([node_asked(key, store, secret) for key in asked.profiles])
        now = store.clock()
        at = time_asked(asked.as_of or as_of, now)
        entries: list[Found | Missing] = []
        for start in range(0, len(pinned), AT_ONCE):
            some = zip(asked.profiles[start : start + AT_ONCE], pinned[start : start + AT_ONCE], strict=True)
            entries += [_entry(key, one, store, memberships, at=at, now=now) for key, one in some]
            await asyncio.sleep(0)
        return Response(encode_json({"profiles": entries}), media_type=JSON)

    @routes.get("/v1/receipts/{receipt_id}:replay", summary="The answer of a receipt, computed again from the tables")
    async def replayed(receipt_id: str) -> Response:
        """The same bytes as the answer had; 410 when the versions it stands on are no longer kept."""
        try:
            async with one_replay:
                again = await run_in_threadpool(_again, store, receipt_id, secret, identities, memberships.declared.definitions())
        except ForgedReceipt:
            return not_found()
        except ReceiptExpired as error:
            raise ApiError(410, "receipt_expired", str(error)) from error
        return Response(again, media_type=JSON)

    return routes


def _asked_id(key: str) -> str | None:
    """The id, when a person's id is asked for."""
    found = _PERSON.fullmatch(key)
    return found and found[1]


def node_asked(key: str, store: Store, secret: bytes) -> str | None:
    """The node a key names: an identifier, or the one a person of this id is or was named after."""
    asked = _asked_id(key)
    return node_of_key(key, secret) if asked is None else store.anchor(asked)


def _again(store: Store, receipt_id: str, secret: bytes, identities: Identities, declared: Definitions) -> bytes:
    """The bytes of a profile, of a row of another view, or of an answer about identity."""
    claims = store.sealer.open(receipt_id)
    if not claims.question or claims.question[0] in (PERSON_ID, VIEW):
        return replay(store.tables, receipt_id, definitions=store.definitions, sealer=store.sealer, secret=secret, declared=declared, now=store.clock())
    try:
        return encode_json(identities.again(claims))
    except (CoverageError, DeltaError, FileNotFoundError) as error:
        raise ReceiptExpired(f"the tables behind this receipt are no longer kept ({' '.join(str(error).split())}); ask again") from error


async def only_as_of(request: Request) -> None:
    """ApiError 400 for any query parameter but ``as_of``: a misspelt one would silently be answered as of now."""
    if request.query_params.keys() - {"as_of"}:
        raise ApiError(400, "unknown_parameter", "found a query parameter that is not known, allowed is as_of; correct its name or leave it out")


def check_serving(store: Store) -> None:
    """ApiError 503 until the store serves something: before that nobody can be called unknown."""
    if not store.is_serving:
        raise ApiError(503, "not_ready", f"nothing can be answered yet ({store.status().problem or 'the store is opening its tables'}); /readyz says when")


def time_asked(as_of: str | None, now: int) -> int:
    """Microseconds of an RFC 3339 time; ``now`` when there is none. A time without a zone is UTC, as in events."""
    if as_of is None:
        return now
    try:
        found = datetime.fromisoformat(as_of.strip().replace(" ", "+"))
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        if _FIRST <= found < _LAST:
            return micros(found)
    except (ValueError, OverflowError):
        pass
    raise ApiError(400, "bad_as_of", "as_of is not a time; write RFC 3339 such as 2017-12-31T23:59:59Z, between the years 1970 and 9000")


def _entry(key: str, pinned: Pinned | None, store: Store, memberships: Memberships, *, at: int, now: int) -> Found | Missing:
    if pinned is None:
        return _missing
    profile = answer(pinned, at=at, now=now, sealer=store.sealer, memberships=memberships, asked_id=_asked_id(key))
    return Found(profile.id, profile.identifiers, profile.traits, profile.segments, profile.receipt, profile.asked_id)
