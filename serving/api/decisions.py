"""Decisions about who is one person: writes them, lists them. They count for all history at once, in the store within a moment and in the next batch version.

A decision is a row of identity/decisions that never changes; it ends by another one that withdraws it.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
from fastapi import APIRouter, Body, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool

from millrace.identity.decisions import Decisions, contradiction, pair_of, standing, standing_rows
from millrace.identity.nodes import namespace_of
from millrace.lease import writer_lease
from millrace.tables.catalogue import DECISION, DECISIONS
from millrace.traits.finish import micros, time_text
from serving.api.access import Access
from serving.api.profiles import check_serving, node_of_key
from serving.api.refusals import ApiError, json_answer
from serving.store.answers import Identifier
from serving.store.store import Store

WAIT_S = 10.0
SERVED_S = 30.0
POLL_S = 0.02


class Decision(BaseModel):
    """``join``: a and b are one person, whatever rules say. ``part``: they never are. ``remove``: a joins nobody. ``withdraw``: the decision no longer counts."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["join", "part", "remove", "withdraw"]
    a: str | None = Field(None, examples=["user_id:1"])
    b: str | None = Field(None, examples=["email:a@example.org"])
    decision_id: int | None = Field(None, description="the decision to withdraw")
    reason: str = Field("", max_length=500, description="for those who read it later; no personal data")
    by: str | None = Field(None, max_length=100, description="who decides, for those who read it later")

    @model_validator(mode="after")
    def _whole(self) -> "Decision":
        needed = {"join": ("a", "b"), "part": ("a", "b"), "remove": ("a",), "withdraw": ("decision_id",)}[self.kind]
        if {name for name in ("a", "b", "decision_id") if getattr(self, name) is not None} != set(needed):
            raise ValueError(f"{self.kind} needs {' and '.join(needed)}, and nothing else but a reason and by")
        return self


@dataclass(frozen=True)
class Asked:
    """A decision about ``nodes`` (``a``, ``b``) or about decision ``withdraws``, to be written."""

    kind: str
    nodes: Mapping[str, str] = field(default_factory=dict)
    withdraws: int | None = None
    reason: str | None = None
    by: str | None = None


Rows = list[dict[str, Any]]


def decision_routes(store: Store, secret: bytes, access: Access) -> APIRouter:
    """Routes for holders of the admin key."""
    routes = APIRouter(tags=["identity"], dependencies=[Depends(access.administers)])

    @routes.post("/v1/decisions", summary="Decide that two identifiers are one person, or never, or that one joins nobody", status_code=201)
    async def decide(asked: Decision = Body()) -> Response:
        """Answers when profiles follow it: its number, and the persons of ``a`` and ``b`` by now. Events, traits and the log stay as they are."""
        check_serving(store)
        nodes = {name: _node(name, key, store, secret) for name in ("a", "b") if (key := getattr(asked, name)) is not None}
        row, _ = await run_in_threadpool(write_decision, store, Asked(asked.kind, nodes, asked.decision_id, asked.reason or None, asked.by))
        return json_answer(await served(store, row, nodes), 201)

    @routes.get("/v1/decisions", summary="All decisions, newest first")
    async def decisions() -> Response:
        """``stands``: whether it counts: neither withdrawn nor followed by a newer one about the same pair; a withdrawal always does."""
        rows = (await run_in_threadpool(store.tables.read, DECISIONS)).to_pylist()
        stand = {row["decision_id"] for row in standing_rows(rows)}
        ordered = sorted(rows, key=lambda row: row["decision_id"], reverse=True)
        return json_answer({"decisions": [{**shown(row), "stands": row["kind"] == "withdraw" or row["decision_id"] in stand} for row in ordered]})

    return routes


async def served(store: Store, row: Mapping[str, Any], nodes: Mapping[str, str]) -> dict[str, Any]:
    """The decision as it is shown, once answers follow it, and the persons of its nodes by then."""
    until = time.monotonic() + SERVED_S
    while not (is_served := store.status().decisions >= row["decision_id"]) and time.monotonic() < until:
        await asyncio.sleep(POLL_S)
    persons = {name: pinned.person.id for name, pinned in zip(nodes, store.pin(list(nodes.values())), strict=True) if pinned}
    return {**shown(row), "persons": persons, "is_served": is_served}


def _differs(one: Decisions, other: Decisions) -> bool:
    return (one.joined, one.parted, one.removed) != (other.joined, other.parted, other.removed)


def _node(name: str, key: str, store: Store, secret: bytes) -> str:
    node = node_of_key(key, secret)
    if node is None or store.pin([node])[0] is None:
        raise ApiError(422, "unknown_identifier", f"{name} is no identifier anybody has seen; write namespace:value as an event carried it, such as user_id:1")
    return node


def write_decision(store: Store, asked: Asked, *, unless: Callable[[Rows], dict[str, Any] | None] = lambda _: None) -> tuple[dict[str, Any], bool]:
    """The row of the decision, and whether it is new; ApiError 409 when it says nothing new or contradicts one that stands. ``unless`` may find the row that
    says so already among those there are: nobody writes between its look and the new row."""
    tables, nodes = store.tables, asked.nodes
    with writer_lease(tables.root, tables.tenant, "decisions", wait_s=WAIT_S):
        rows = tables.read(DECISIONS).to_pylist()
        if (found := unless(rows)) is not None:
            return found, False
        row = {
            "decision_id": max((row["decision_id"] for row in rows), default=0) + 1, "decided_at": datetime.now(UTC), "kind": asked.kind,
            "a": nodes.get("a"), "b": nodes.get("b"), "hint_a": _hint(store, nodes.get("a")), "hint_b": _hint(store, nodes.get("b")),
            "withdraws": asked.withdraws, "reason": asked.reason, "decided_by": asked.by,
        }  # fmt: skip
        _check(row, rows)
        tables.add(DECISIONS, pa.Table.from_pylist([row], schema=DECISION))
    return row, True


def _check(row: Mapping[str, Any], rows: Rows) -> None:
    if row["kind"] == "withdraw" and not any(one["decision_id"] == row["withdraws"] and one["kind"] != "withdraw" for one in rows):
        raise ApiError(409, "no_such_decision", "there is no join, part or remove of this number; GET /v1/decisions lists them")
    if row["a"] is not None and row["a"] == row["b"]:
        raise ApiError(400, "same_identifier", "a and b are one identifier; give two")
    before, after = standing(rows), standing([*rows, row])
    if not _differs(before, after):
        raise ApiError(409, "nothing_new", "the decisions that stand say so already; GET /v1/decisions lists them")
    if pair := contradiction(after):
        numbers = [str(one["decision_id"]) for one in [*rows, row] if one["kind"] == "part" and pair_of(one["a"], one["b"]) == pair]
        raise ApiError(409, "contradiction", f"joins would make one person of a pair that decision {numbers[-1]} parts; withdraw one of them first")


def _hint(store: Store, node: str | None) -> str | None:
    pinned = store.pin([node])[0] if node else None
    return next((member.hint for member in pinned.person.members if member.node == node), None) if pinned else None


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of tables.DECISION for an answer."""
    ends = {name: Identifier(namespace_of(row[name]), row[f"hint_{name}"]) for name in ("a", "b") if row[name]}
    return {
        "decision_id": row["decision_id"], "decided_at": time_text(micros(row["decided_at"])), "kind": row["kind"], **ends,
        **({"withdraws": row["withdraws"]} if row["withdraws"] else {}), "reason": row["reason"], "by": row.get("decided_by"),
    }  # fmt: skip
