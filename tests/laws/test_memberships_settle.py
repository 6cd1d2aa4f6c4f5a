"""Live = settled = computed directly: after any history, what the follower holds, what the table of changes leads to, and what follows from the log alone are one.

A history is epochs of orders (late ones, of hours that have not come, joining people), decisions, publishes and rollbacks, time that passes, restarts, and a state
that is lost. Every change that was told is true at its instant; one that time alone brought was not true a microsecond before, one that an event brought not without its epoch.
"""

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from millrace.identity.decisions import read_decisions
from millrace.tables.catalogue import SEGMENT_SETTLEMENTS
from millrace.traits.finish import MICROS, micros
from serving.segments.watching import Declared
from serving.store.base_building import build_base
from serving.store.base_folders import BaseFolders
from tests.laws.oracle_persons import Decided
from tests.laws.oracle_segments import memberships
from tests.serving.segments.hand_made import DAY_US, HOUR_US, Follow
from tests.serving.segments.ruled import RULED, Tenant, time_of
from tests.serving.store.by_hand import PATIENT, Order
from tests.serving.store.stores import NOW
from tests.tiers import LAW_EXAMPLES

NODES = ("user_id:a", "user_id:b", "user_id:c", "email:m", "email:n", "phone:p", "anonymous_id:d", "anonymous_id:e")
LENGTHS = (0, 1, MICROS, 20 * 60 * MICROS, HOUR_US, 3 * HOUR_US, DAY_US, 2 * DAY_US + HOUR_US)


@contextmanager
def bases_in_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseFolders, "_run_child", lambda folders, draft, manifest: build_base(folders._tables, manifest, draft))
        yield


def expected(tenant: Tenant, head: int, decisions: int, now: int) -> dict[str, frozenset[str]]:
    stand = read_decisions(tenant.tables, upto=decisions)
    return dict(memberships([one for one in tenant.log if one.epoch <= head], now, Decided(stand.joined, stand.parted, stand.removed)))


def play(dice: random.Random, follow: Follow, tenant: Tenant) -> None:
    """One thing that happens."""
    what = dice.choices(("write", "pass", "publish", "decide", "restart", "lose", "rollback"), (8, 5, 3, 2, 2, 1, 1))[0]
    if what == "write":
        tenant.write(*(_order(dice, follow.clock.now) for _ in range(dice.randrange(1, 4))))
    elif what == "pass":
        length = dice.choice((HOUR_US, DAY_US))
        nearly = (follow.clock.now // length + 1) * length - 2 * 60 * MICROS
        follow.clock.now = max(follow.clock.now, nearly) if dice.randrange(4) == 0 else follow.clock.now + dice.choice(LENGTHS)
    elif what == "publish" and tenant.epochs:
        tenant.publish(cut=dice.randrange(max((one.cut for one in tenant.manifests), default=0), tenant.epochs + 1))
    elif what == "rollback" and tenant.manifests:
        tenant.rollback(dice.choice(tenant.manifests))
    elif what == "decide":
        one, other = dice.sample(NODES, 2)
        kind = dice.choice(("join", "part", "remove"))
        tenant.decide(kind, *((min(one, other), max(one, other)) if kind != "remove" else (one, None)))
    elif what == "restart":
        follow.restart()
    elif what == "lose":
        follow.follower.close()
        shutil.rmtree(f"{follow.tables.root}/t/segments")
        follow.follower = follow.start()


def _order(dice: random.Random, now: int) -> Order:
    at = now - dice.choice((0, HOUR_US, 2 * HOUR_US, 5 * HOUR_US, DAY_US, 2 * DAY_US, 40 * DAY_US)) - dice.randrange(HOUR_US)
    if dice.randrange(5) == 0:
        at = now + dice.randrange(5 * 60 * MICROS)
    node, *also = dice.sample(NODES, dice.choice((1, 1, 1, 2, 2, 3)))
    return Order(node, at=time_of(at // 1_000 * 1_000).isoformat(), revenue=str(dice.choice((1, 7, 10, 25, -5))), store=dice.choice(("north", "south")), also=tuple(also))


def told_truly(follow: Follow, tenant: Tenant, known: int) -> int:
    """Every change since the last look is true of its instant, head and decisions."""
    rows = follow.rows()
    for row in rows[known:]:
        at = micros(row["at"])
        now, before = (expected(tenant, row["head"], row["decisions"], when).get(row["person_id"], frozenset()) for when in (at, at - 1))
        assert (row["segment"] in now) == (row["change"] == "entered"), row
        if row["because"] in ("event", "merge", "split"):
            before = expected(tenant, row["head"] - 1, row["decisions"], at).get(row["person_id"], frozenset())
        if row["because"] in ("time", "event", "merge", "split"):
            assert (row["segment"] in before) != (row["segment"] in now), row
    return len(rows)


@settings(PATIENT, max_examples=max(4, LAW_EXAMPLES // 200))
@given(seed=st.integers(0, 2**32 - 1))
@example(seed=1)
@example(seed=1625)
def test_live_is_settled_is_computed_directly(seed: int) -> None:
    dice = random.Random(seed)
    with bases_in_process(), tempfile.TemporaryDirectory() as folder:
        follow = Follow(Path(folder), definitions=RULED, declared=Declared(RULED))
        tenant, known = Tenant(Path(folder), follow.clock), 0
        follow.clock.now = NOW
        try:
            for _ in range(dice.randrange(4, 14)):
                for _ in range(dice.randrange(1, 4)):
                    play(dice, follow, tenant)
                follow.settle()
                by_the_book = expected(tenant, tenant.epochs, read_decisions(tenant.tables).number, follow.clock.now)
                assert follow.held() == follow.directly() == follow.from_table() == by_the_book
                known = told_truly(follow, tenant, known)
            assert {row.change_id for _, row in follow.topic.records} == {row["change_id"] for row in follow.rows()}
            settled = follow.tables.read(SEGMENT_SETTLEMENTS).to_pylist()
            assert all((row["missing"], row["extra"]) == (0, 0) for row in settled), settled
        finally:
            follow.close()
