"""From what the store has pinned to the answer a client sees, and its bytes. store.py and replay.py make the same answer from the same pinned parts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from millrace.identity.nodes import namespace_of
from serving.store.layout import decode
from serving.store.ledger_tail import milliseconds_since
from serving.store.persons import Person
from serving.store.plan import Plan
from serving.store.receipts import PERSON_ID, Claims, Receipt, Sealer, receipt_of
from serving.store.several import TraitAnswer


@dataclass(frozen=True)
class Point:
    """The point of the log an answer stands on. ``committed_at`` (microseconds) is when its head came to exist."""

    manifest_id: int | None
    cut: int
    head: int
    definitions_hash: str
    complete: bool
    committed_at: int
    decisions: int


class Pinned(msgspec.Struct, gc=False):
    """Everything an answer needs, taken from the store in one moment. ``batch`` and ``speed`` are encoded slots of the person's nodes."""

    node: str
    point: Point
    plan: Plan
    person: Person
    batch: list[bytes]
    speed: list[bytes]


class Memberships(Protocol):
    """Which segments a person is in as of a time, given his traits as of then, and the hash of the rules that say so; empty without rules."""

    def segments(self, pinned: Pinned, at: int, answers: Mapping[str, TraitAnswer]) -> list[str]: ...

    def rules_of(self, pinned: Pinned) -> str: ...


class Identifier(msgspec.Struct, gc=False):
    """An identifier as an answer shows it: masked."""

    namespace: str
    value: str | None


class Profile(msgspec.Struct):
    """The answer about one person. ``asked_id``, there only then: the id that was asked for, which another person holds now: he was merged, or an older
    identifier of his has come to light."""

    id: str
    identifiers: list[Identifier]
    traits: dict[str, TraitAnswer]
    segments: list[str]
    receipt: Receipt
    asked_id: str | msgspec.UnsetType = msgspec.UNSET


class Found(Profile):
    """An entry of a lookup of many, in the place of its key."""

    found: bool = True


class Missing(msgspec.Struct, frozen=True):
    """The entry of a key nobody has seen."""

    found: bool = False


encode_json = msgspec.json.Encoder().encode
"""Bytes of an answer; equal answers give equal bytes."""


def answer(pinned: Pinned, *, at: int, now: int, sealer: Sealer, memberships: Memberships | None = None, asked_id: str | None = None) -> Profile:
    """The profile as of ``at``, asked at ``now`` (microseconds), by ``asked_id`` where a person's id was asked for."""
    staleness_ms = milliseconds_since(pinned.point.committed_at, now)
    return answer_with(pinned, at=at, now=now, staleness_ms=staleness_ms, sealer=sealer, memberships=memberships, asked_id=asked_id)


def answer_with(
    pinned: Pinned, *, at: int, now: int, staleness_ms: int, sealer: Sealer, memberships: Memberships | None = None, asked_id: str | None = None
) -> Profile:
    """The profile with a staleness that is known already: a replay has it from the receipt."""
    moved = None if asked_id == pinned.person.id else asked_id
    point, plan = pinned.point, pinned.plan
    parts = [decode(slots) for slots in pinned.batch], [decode(slots) for slots in pinned.speed]
    traits, until = plan.read(*parts, at, now), plan.holds_until(*parts, at, now)
    segments, rules = (memberships.segments(pinned, at, traits), memberships.rules_of(pinned)) if memberships else ([], "")
    claims = Claims(
        pinned.node, point.manifest_id, point.cut, point.head, at, point.definitions_hash, staleness_ms, point.complete, point.decisions,
        (PERSON_ID, moved) if moved else (), rules, until,
    )  # fmt: skip
    receipt = receipt_of(claims, sealer, as_of=plan.as_of(at))
    identifiers = [Identifier(namespace_of(member.node), member.hint) for member in pinned.person.members]
    return Profile(pinned.person.id, identifiers, traits, segments, receipt, moved or msgspec.UNSET)
