"""The queue of persons who look alike: lists what the linkage proposes, takes in what people say to it. An answer becomes a decision (identity/decisions).

The state of a candidate is that of the head, not that of the run that proposed it: it follows decisions, and edges seen since.
"""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import pyarrow.compute as pc
from fastapi import APIRouter, Body, Depends, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from millrace.identity.decisions import Pair, about_pairs, pair_of, standing_rows
from millrace.identity.nodes import namespace_of
from millrace.tables.catalogue import DECISIONS, LINK_CANDIDATES
from millrace.traits.finish import micros, time_text
from serving.api.access import Access
from serving.api.decisions import Asked, Rows, served, shown, write_decision
from serving.api.identity import only
from serving.api.profiles import check_serving
from serving.api.refusals import ApiError, json_answer, not_found
from serving.store.answers import Identifier, Pinned
from serving.store.store import Store

LISTED, MOST_LISTED, AT_ONCE = 50, 500, 50
MOST_IDENTIFIERS = 20
OPEN, ACCEPTED, REJECTED = "open", "accepted", "rejected"
_STATES = {"join": ACCEPTED, "part": REJECTED}
_CURSOR = re.compile(r"(\d(?:\.\d+)?(?:e-\d+)?)~(c_[0-9a-f]{24})")
_ASKED = ("verdict", "min_probability", "max_probability", "state", "limit", "after")


class Answer(BaseModel):
    """What somebody says to a candidate."""

    model_config = ConfigDict(extra="forbid")

    by: str = Field(min_length=1, max_length=100, description="who decides, for those who read it later")
    reason: str = Field(min_length=1, max_length=500, description="why, for those who read it later; no personal data")


@dataclass(frozen=True)
class Filters:
    """``after``: where the page before ended."""

    verdict: str | None
    least: float
    most: float
    state: str | None
    limit: int
    after: str | None


def candidate_routes(store: Store, access: Access) -> APIRouter:
    """The list for holders of the read key, answers to it for those of the admin key."""
    routes = APIRouter(tags=["identity"])

    @routes.get("/v1/identity:candidates", summary="Persons who look alike, for people to decide on", dependencies=[Depends(access.reads), Depends(only(*_ASKED))])
    async def candidates(
        verdict: Literal["accepted", "review", "rejected", "undecided"] | None = None, min_probability: float = Query(0, ge=0, le=1),
        max_probability: float = Query(1, ge=0, le=1), state: Literal["open", "accepted", "rejected", "all"] = OPEN,
        limit: int = Query(LISTED, ge=1, le=MOST_LISTED), after: str | None = None,
    ) -> Response:  # fmt: skip
        """The most probable first, with how each attribute compares and both persons as they are now. ``verdict`` is what the linkage says, ``state`` what people
        have said since, or edges and other decisions make of it. ``after`` takes ``next`` of the page before."""
        check_serving(store)
        filters = Filters(verdict, min_probability, max_probability, None if state == "all" else state, limit, after)
        rows = await run_in_threadpool(_found, store, filters)
        queue = await run_in_threadpool(Queue.of, store)
        page: list[dict[str, Any]] = []
        for start in range(0, len(rows), AT_ONCE):
            for one in queue.shown(rows[start : start + AT_ONCE]):
                if filters.state in (None, one["state"]):
                    if len(page) == filters.limit:
                        return json_answer({"candidates": page, "next": f"{page[-1]['probability']!r}~{page[-1]['candidate_id']}"})
                    page.append(one)
            await asyncio.sleep(0)
        return json_answer({"candidates": page, "next": None})

    @routes.post("/v1/identity/candidates/{candidate_id}:accept", summary="The two are one person", status_code=201, dependencies=[Depends(access.administers)])
    async def accept(candidate_id: str, given: Answer = Body()) -> Response:
        """Becomes a decision that joins them, and answers when profiles follow it; once it stands, asking again changes nothing (200)."""
        return await _answered(store, candidate_id, "join", given)

    @routes.post("/v1/identity/candidates/{candidate_id}:reject", summary="The two are never one person", status_code=201, dependencies=[Depends(access.administers)])
    async def reject(candidate_id: str, given: Answer = Body()) -> Response:
        """Becomes a decision that parts them: they are not proposed again, and nothing that is seen later joins them."""
        return await _answered(store, candidate_id, "part", given)

    return routes


async def _answered(store: Store, candidate_id: str, kind: str, given: Answer) -> Response:
    check_serving(store)
    pair = await run_in_threadpool(_pair_of, store, candidate_id)
    pinned = store.pin(pair or [])
    if pair is None or None in pinned:
        return not_found()
    one, other = (each.person.id for each in pinned if each)

    def stands(rows: Rows) -> dict[str, Any] | None:
        """The decision that says so already; ApiError when it says the opposite."""
        found = about_pairs(standing_rows(rows)).get(pair)
        if found is not None and found["kind"] != kind:
            raise ApiError(409, "already_decided", f"decision {found['decision_id']} has {_STATES[found['kind']]} it; withdraw that one first: POST /v1/decisions")
        if found is None and kind == "part" and one == other:
            raise ApiError(409, "one_person", "events or decisions since have made the two one person; POST /v1/decisions with kind part if they are not")
        return dict(found) if found is not None else None

    nodes = {"a": pair[0], "b": pair[1]}
    row, is_new = await run_in_threadpool(lambda: write_decision(store, Asked(kind, nodes, reason=given.reason, by=given.by), unless=stands))
    answer = await served(store, row, nodes)
    return json_answer({"candidate_id": candidate_id, "state": _STATES[kind], "decision": answer}, 201 if is_new else 200)


def candidate_id_of(pair: Pair) -> str:
    """The same for the same two nodes in every run."""
    digest = sha256("\n".join(pair).encode()).hexdigest()
    return f"c_{digest[:24]}"


def _pair_of(store: Store, candidate_id: str) -> Pair | None:
    """The nodes of a candidate, or of one that was decided on and is not proposed any more."""
    for table in (LINK_CANDIDATES, DECISIONS):
        rows = store.tables.read(table, columns=["a", "b"])
        for a, b in zip(rows["a"].to_pylist(), rows["b"].to_pylist(), strict=True):
            if a and b and candidate_id_of(pair_of(a, b)) == candidate_id:
                return pair_of(a, b)
    return None


def _found(store: Store, filters: Filters) -> Rows:
    """Rows that the filters let through, in order."""
    where = (pc.field("probability") >= filters.least) & (pc.field("probability") <= filters.most)
    if filters.verdict is not None:
        where &= pc.field("verdict") == filters.verdict
    first = (-2.0, "")
    if filters.after is not None:
        if (cursor := _CURSOR.fullmatch(filters.after)) is None:
            raise ApiError(400, "bad_cursor", "after is not the `next` of a page; leave it out to begin")
        first = (-float(cursor[1]), cursor[2])
    rows = store.tables.read(LINK_CANDIDATES, where=where).to_pylist()
    ordered = sorted(((-row["probability"], candidate_id_of((row["a"], row["b"])), row) for row in rows), key=lambda one: one[:2])
    return [row | {"candidate_id": name} for less, name, row in ordered if (less, name) > first]


class Queue:
    """Candidates as they stand: ``decided`` by pair, ``parted`` by the persons that hold the two."""

    def __init__(self, store: Store, decided: Mapping[Pair, Mapping[str, Any]]) -> None:
        self._store, self._decided = store, decided
        self._parted: dict[frozenset[str], Mapping[str, Any]] = {}
        parted = [(pair, row) for pair, row in decided.items() if row["kind"] == "part"]
        for start in range(0, len(parted), AT_ONCE):
            for (one, other), (_, row) in zip(_pairs(store, [pair for pair, _ in parted[start : start + AT_ONCE]]), parted[start:], strict=False):
                if one and other:
                    self._parted[frozenset((one.person.id, other.person.id))] = row

    @classmethod
    def of(cls, store: Store) -> "Queue":
        return cls(store, about_pairs(standing_rows(store.tables.read(DECISIONS).to_pylist())))

    def shown(self, rows: Rows) -> Iterator[dict[str, Any]]:
        """What is shown of rows; those of which the head does not know a person are left out."""
        for row, (one, other) in zip(rows, _pairs(self._store, [(row["a"], row["b"]) for row in rows]), strict=True):
            if one and other:
                state, decision = self._state((row["a"], row["b"]), one.person.id, other.person.id)
                yield {
                    "candidate_id": row["candidate_id"], "state": state, "decision": shown(decision) if decision else None,
                    "probability": row["probability"], "verdict": row["verdict"], "reason": row["reason"], "evidence": json.loads(row["evidence"]),
                    "a": _person(one), "b": _person(other), "model_version": row["model_version"], "manifest_id": row["manifest_id"],
                    "scored_at": time_text(micros(row["scored_at"])),
                }  # fmt: skip

    def _state(self, pair: Pair, one: str, other: str) -> tuple[str, Mapping[str, Any] | None]:
        """What stands about the two, or about identifiers of their persons; and the decision that says so."""
        if (own := self._decided.get(pair)) is not None:
            return _STATES[own["kind"]], own
        if one == other:
            return ACCEPTED, None
        parting = self._parted.get(frozenset((one, other)))
        return (REJECTED, parting) if parting else (OPEN, None)


def _pairs(store: Store, pairs: list[Pair]) -> list[tuple[Pinned | None, Pinned | None]]:
    found = store.pin([node for pair in pairs for node in pair])
    return list(zip(found[::2], found[1::2], strict=True))


def _person(pinned: Pinned) -> dict[str, Any]:
    members = pinned.person.members
    shown_first = sorted(members, key=lambda member: member.node != pinned.node)[:MOST_IDENTIFIERS]
    return {
        "person_id": pinned.person.id, "identifiers": [Identifier(namespace_of(member.node), member.hint) for member in shown_first], "identifier_count": len(members),
    }  # fmt: skip
