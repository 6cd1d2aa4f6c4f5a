"""Adversarial cases of identity, each with its expected answer."""

import numpy as np
import pyarrow as pa
import pytest

from millrace.identity.decisions import Decisions
from millrace.identity.edges import edges_of
from millrace.identity.nodes import NAMESPACES, node_of, person_id
from millrace.identity.resolution import Resolution, resolve
from millrace.identity.rules import IdentityRules, Rules
from millrace.tables.catalogue import EDGES, IDENTIFIER, POSITION, TIME

SECRET = b"\x11" * 32
TODAY = IdentityRules().compiled(SECRET)


def edges(*pairs: tuple[str, str], at: list[int] | None = None, epoch: int = 1) -> pa.Table:
    """The n-th pair is first seen at offset n unless told otherwise."""
    places = [{"epoch": epoch, "partition": 0, "offset": offset} for offset in at or range(len(pairs))]
    rows = [{"a": min(pair), "b": max(pair), "hint_a": "•", "hint_b": "•", "first_seen": place} for pair, place in zip(pairs, places, strict=True)]
    return pa.Table.from_pylist(rows, schema=EDGES)


def many(a: list[str], b: list[str]) -> pa.Table:
    numbers = pa.array(np.arange(len(a)))
    at = pa.StructArray.from_arrays([pa.array(np.ones(len(a), np.int64)), pa.array(np.zeros(len(a), np.int32)), numbers], fields=list(POSITION))
    nothing = pa.nulls(len(a), pa.string())
    return pa.table({"a": a, "b": b, "hint_a": nothing, "hint_b": nothing, "first_seen": at})


def rules(**changed: dict) -> Rules:
    return IdentityRules.model_validate({"namespaces": {name: changed.get(name, {}) for name in ("user_id", "email", "phone", "anonymous_id")}}).compiled(SECRET)


def persons(found: Resolution) -> list[list[str]]:
    people: dict[str, list[str]] = {}
    for row in found.nodes.to_pylist():
        people.setdefault(row["person_id"], []).append(row["node"])
    return sorted(people.values())


def isolated(found: Resolution) -> dict[str, str]:
    return {row["node"]: row["isolated"] for row in found.nodes.to_pylist() if row["isolated"]}


def test_no_edges_are_no_persons():
    found = resolve(EDGES.empty_table(), TODAY)
    assert (len(found.nodes), len(found.refused)) == (0, 0)


def test_a_chain_of_100000_is_one_person_named_after_its_oldest_member():
    names = np.array([f"anonymous_id:{n:06d}" for n in range(100_001)])
    order = np.random.default_rng(5).permutation(100_000)
    found = resolve(many(names[order].tolist(), names[order + 1].tolist()), TODAY)
    assert found.nodes["person_id"].unique().to_pylist() == [person_id(min(names[order[0]], names[order[0] + 1]))]
    assert found.refused.null_count == 100_000


def test_a_chain_of_100000_with_a_user_at_each_end_is_parted_at_its_youngest_edge():
    names = ["user_id:a", *(f"anonymous_id:{n:06d}" for n in range(99_999)), "user_id:b"]
    found = resolve(many(names[:-1], names[1:]), TODAY)
    assert found.nodes["person_id"].unique().to_pylist() != found.nodes["component"].unique().to_pylist()
    assert [len(person) for person in persons(found)] == [100_000 - 1, 2]
    assert (found.refused.null_count, found.refused.to_pylist()[99_998]) == (99_999, "unique")


def test_a_hub_of_1000000_devices_is_one_person_where_that_is_allowed_and_a_hub_of_users_is_nobody():
    names, allowed = [f"{n:07d}" for n in range(1_000_000)], rules(user_id={"unique": True})
    hub = many([f"anonymous_id:{name}" for name in names], ["user_id:u"] * len(names))
    devices = resolve(hub, allowed)
    assert devices.nodes["person_id"].unique().to_pylist() == [person_id("anonymous_id:0000000")]
    junk = resolve(hub, TODAY)
    assert len(junk.nodes["person_id"].unique()) == 1_000_001 and junk.refused.unique().to_pylist() == ["crowded"]
    assert junk.nodes.filter(junk.nodes["linked"].is_valid()).select(["node", "isolated", "linked"]).to_pylist() == [{"node": "user_id:u", "isolated": "crowded", "linked": 1_000_000}]
    users = resolve(many(["anonymous_id:kiosk"] * len(names), [f"user_id:{name}" for name in names]), allowed)
    assert (len(users.nodes["person_id"].unique()), isolated(users)) == (1_000_001, {"anonymous_id:kiosk": "shared"})
    assert users.refused.unique().to_pylist() == ["shared"]


def test_a_cycle_is_one_person():
    names = [f"phone:{n}" for n in range(5)]
    assert persons(resolve(edges(*zip(names, [*names[1:], names[0]], strict=True)), TODAY)) == [names]


def test_a_kiosk_with_10000_users_joins_none_of_them_and_its_own_events_are_nobodys():
    users, mails = [f"user_id:{n:05d}" for n in range(10_000)], [f"email:{n:05d}" for n in range(10_000)]
    for given, reason in ((rules(user_id={"unique": True}), "shared"), (TODAY, "crowded")):
        found = resolve(many(["anonymous_id:kiosk"] * 10_000 + mails, users * 2), given)
        assert sorted(len(person) for person in persons(found)) == [1] + [2] * 10_000
        assert isolated(found) == {"anonymous_id:kiosk": reason}
        assert found.refused.to_pylist() == [reason] * 10_000 + [None] * 10_000


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_an_unlisted_junk_value_of_any_namespace_is_nobodys_and_those_it_was_seen_with_keep_theirs(namespace):
    """A user id of a test on the devices of 1,200 people, who also log in as themselves: without the cap their devices were shared."""
    own, users = [f"{'anonymous_id' if namespace != 'anonymous_id' else 'email'}:{n}" for n in range(1_200)], [f"user_id:u{n}" for n in range(1_200)]
    seen = many([f"{namespace}:qa"] * 1_200 + own, own + users)
    found = resolve(seen, TODAY)
    assert isolated(found) == {f"{namespace}:qa": "crowded"}
    assert sorted(len(person) for person in persons(found)) == [1] + [2] * 1_200
    assert found.nodes.filter(found.nodes["linked"].is_valid()).select(["node", "linked"]).to_pylist() == [{"node": f"{namespace}:qa", "linked": 1_200}]
    if namespace == "user_id":
        assert set(isolated(resolve(seen, rules(user_id={"unique": True}))).values()) == {"shared"}


def test_who_is_crowded_depends_on_distinct_others_alone():
    limits = rules(user_id={"unique": True, "crowded_from": 3, "blocked": ["null"]}, email={"blocked": ["null"]})
    junk, mail = node_of("email", "null", SECRET), node_of("user_id", "null", SECRET)
    two = [("user_id:u", "phone:1"), ("phone:2", "user_id:u"), ("user_id:u", "user_id:u"), ("user_id:u", "phone:1"), ("user_id:u", junk), ("user_id:u", mail)]
    assert "crowded" not in isolated(resolve(edges(*two), limits)).values()
    assert isolated(resolve(edges(*two, ("user_id:u", "phone:3")), limits))["user_id:u"] == "crowded"
    his = Decisions(1, joined=frozenset({("phone:1", "user_id:u")}))
    lifted = resolve(edges(*two, ("user_id:u", "phone:3")), limits, his)
    assert ["phone:1", "phone:2", "phone:3", "user_id:u"] in persons(lifted), "a decision says whose it is"
    gone = resolve(edges(*two, ("user_id:u", "phone:3")), limits, Decisions(1, removed=frozenset({"user_id:u"})))
    assert isolated(gone)["user_id:u"] == "removed"


def test_two_chains_joined_by_the_last_event_are_one_person_unless_each_has_a_user():
    left, right = [("anonymous_id:1", "email:1"), ("email:1", "anonymous_id:2")], [("anonymous_id:3", "email:2"), ("email:2", "anonymous_id:4")]
    last = ("anonymous_id:2", "anonymous_id:3")
    assert len(persons(resolve(edges(*left, *right), TODAY))) == 2
    assert len(persons(resolve(edges(*left, *right, last), TODAY))) == 1
    logins = [("user_id:a", "anonymous_id:1"), ("user_id:b", "anonymous_id:4")]
    found = resolve(edges(*left, *right, *logins, last), TODAY)
    assert [person[-1] for person in persons(found)] == ["user_id:a", "user_id:b"]
    assert found.refused.to_pylist()[-1] == "unique"


def test_of_conflicting_edges_the_more_trusted_wins_and_then_the_earlier():
    device_first = edges(("email:e", "anonymous_id:d"), ("user_id:b", "anonymous_id:d"), ("user_id:a", "email:e"))
    assert resolve(device_first, TODAY).refused.to_pylist() == ["unique", None, None]
    earlier = edges(("phone:p", "anonymous_id:1"), ("phone:p", "anonymous_id:2"), ("user_id:a", "anonymous_id:1"), ("user_id:b", "anonymous_id:2"), at=[7, 6, 1, 1])
    assert resolve(earlier, TODAY).refused.to_pylist() == ["unique", None, None, None]


def test_edges_of_equal_age_are_taken_in_the_order_of_their_nodes():
    pairs = [("phone:p", "anonymous_id:2"), ("phone:p", "anonymous_id:1"), ("user_id:a", "anonymous_id:1"), ("user_id:b", "anonymous_id:2")]
    assert resolve(edges(*pairs, at=[3, 3, 3, 3]), TODAY).refused.to_pylist() == ["unique", None, None, None]
    assert resolve(edges(*reversed(pairs), at=[3, 3, 3, 3]), TODAY).refused.to_pylist() == [None, None, None, "unique"]


@pytest.mark.parametrize(
    ("namespace", "value"),
    [
        ("user_id", "null"), ("user_id", "NULL"), ("user_id", " undefined "), ("user_id", "00000000-0000-0000-0000-000000000000"), ("anonymous_id", "0"),
        ("anonymous_id", "Anonymous"), ("email", "test@test.com"), ("email", "TEST@Test.com "), ("phone", "000 000-0000"), ("user_id", "[OBJECT OBJECT]"),
    ],
)  # fmt: skip
def test_a_value_that_is_nobodys_joins_nobody(namespace, value):
    nobody = node_of(namespace, value, SECRET)
    found = resolve(edges((nobody, "phone:1"), (nobody, "phone:2"), ("phone:2", "anonymous_id:x")), TODAY)
    assert isolated(found) == {nobody: "blocked"}
    assert persons(found) == sorted([[nobody], ["phone:1"], ["anonymous_id:x", "phone:2"]])
    assert found.refused.to_pylist() == ["blocked", "blocked", None]


def test_a_blocked_user_does_not_make_a_device_shared():
    nobody = node_of("user_id", "null", SECRET)
    assert persons(resolve(edges((nobody, "anonymous_id:d"), ("user_id:a", "anonymous_id:d")), TODAY)) == sorted([[nobody], ["anonymous_id:d", "user_id:a"]])


def node(namespace: str, value: str) -> str:
    return node_of(namespace, value, SECRET) or ""


def test_spellings_of_one_address_are_one_person_and_other_letters_are_another():
    """Case, blanks and letters that nobody sees are spelling; an umlaut is another letter."""
    events = [["ann@example.com", "1"], ["ANN@Example.com ", "2"], ["änn@example.com", "3"], ["ÄNN@example.com", "4"], ["ann@example.com\u200b", "5"]]
    found = resolve(edges(*((node("email", mail), node("anonymous_id", device)) for mail, device in events)), TODAY)
    assert sorted(len(person) for person in persons(found)) == [3, 4]


def test_one_value_in_two_namespaces_is_two_identifiers():
    found = resolve(edges((node("user_id", "7"), node("phone", "1")), (node("anonymous_id", "7"), node("phone", "2"))), TODAY)
    assert [len(person) for person in persons(found)] == [2, 2]


def test_a_rule_that_is_tightened_afterwards_counts_for_all_history():
    history = edges(*((f"email:{n}", "user_id:a") for n in range(5)), *((f"email:{n}", f"anonymous_id:{n}") for n in range(5)))
    assert len(persons(resolve(history, rules(email={"limit": 5}, user_id={"unique": True})))) == 1
    tightened = resolve(history, rules(email={"limit": 1}, user_id={"unique": True}))
    assert [len(person) for person in persons(tightened)] == [3, 2, 2, 2, 2]
    assert tightened.refused.to_pylist()[:5] == [None, "limit", "limit", "limit", "limit"]
    assert len(persons(resolve(history, rules(email={"unique": True})))) == 6, "an account with five addresses, where an address is one person, is nobody's"


def test_a_household_address_is_shared_from_as_many_users_as_the_rule_says():
    household = edges(("user_id:a", "email:home"), ("user_id:b", "email:home"))
    assert isolated(resolve(household, TODAY)) == {"email:home": "shared"}
    late = rules(user_id={"unique": True}, email={"shared_from": 3})
    assert persons(resolve(household, late)) == [["email:home", "user_id:a"], ["user_id:b"]]
    assert resolve(household, late).refused.to_pylist() == [None, "unique"]
    never = rules(user_id={"unique": True}, email={"shared_from": None})
    assert isolated(resolve(household, never)) == {}


NO_ALIASES = IdentityRules.model_validate({"namespaces": {name: {"unique": True, "aliases": 1} if name == "user_id" else {} for name in NAMESPACES}}).compiled(SECRET)


def test_an_alias_makes_two_user_ids_one_value_and_their_device_is_not_shared():
    alias, device, new = ("user_id:a", "user_id:b"), ("user_id:a", "anonymous_id:1"), ("user_id:b", "anonymous_id:1")
    found = resolve(edges(alias, device, new), TODAY)
    assert (persons(found), found.refused.to_pylist()) == ([["anonymous_id:1", "user_id:a", "user_id:b"]], [None, None, None])
    assert persons(resolve(edges(device, new), TODAY)) == [["anonymous_id:1"], ["user_id:a"], ["user_id:b"]]


def test_where_aliases_are_not_taken_two_users_who_are_said_to_be_one_stay_two():
    found = resolve(edges(("user_id:a", "user_id:b"), ("user_id:a", "anonymous_id:1")), NO_ALIASES)
    assert (persons(found), found.refused.to_pylist()) == ([["anonymous_id:1", "user_id:a"], ["user_id:b"]], ["unique", None])
    assert found.nodes["component"].to_pylist() == found.nodes["person_id"].to_pylist()


def test_a_value_aliased_with_more_than_the_rules_allow_joins_nobody():
    few, many = ([("user_id:x", f"user_id:{number}") for number in range(count)] for count in (9, 10))
    assert len(persons(resolve(edges(*few), TODAY))) == 1
    found = resolve(edges(*many), TODAY)
    assert (len(persons(found)), set(found.refused.to_pylist())) == (11, {"limit"})


def test_what_people_decide_holds_against_edges_and_rules():
    seen = [("user_id:a", "email:m"), ("user_id:b", "email:m"), ("user_id:a", "anonymous_id:1"), ("user_id:c", "phone:p")]
    shared = [["anonymous_id:1", "user_id:a"], ["email:m"], ["phone:p", "user_id:c"], ["user_id:b"]]
    assert persons(resolve(edges(*seen), TODAY)) == shared
    one = Decisions(1, joined=frozenset({("user_id:a", "user_id:b")}))
    assert persons(resolve(edges(*seen), TODAY, one)) == [["anonymous_id:1", "email:m", "user_id:a", "user_id:b"], ["phone:p", "user_id:c"]]
    his = Decisions(1, joined=frozenset({("email:m", "user_id:b")}))
    found = resolve(edges(*seen), TODAY, his)
    assert persons(found) == [["anonymous_id:1", "user_id:a"], ["email:m", "user_id:b"], ["phone:p", "user_id:c"]]
    assert found.refused.to_pylist() == ["unique", None, None, None]
    apart = resolve(edges(*seen), TODAY, Decisions(1, parted=frozenset({("phone:p", "user_id:c")})))
    assert persons(apart) == [["anonymous_id:1", "user_id:a"], ["email:m"], ["phone:p"], ["user_id:b"], ["user_id:c"]]
    assert apart.refused.to_pylist() == ["shared", "shared", None, "parted"]
    without = resolve(edges(*seen), TODAY, Decisions(1, removed=frozenset({"user_id:b"})))
    assert persons(without) == [["anonymous_id:1", "email:m", "user_id:a"], ["phone:p", "user_id:c"], ["user_id:b"]]
    assert without.refused.to_pylist() == [None, "removed", None, None]


def test_a_lone_identifier_is_a_person_and_its_edge_to_itself_is_never_refused():
    nobody = node_of("user_id", "null", SECRET)
    found = resolve(edges(("phone:1", "phone:1"), (nobody, nobody)), TODAY)
    assert (len(persons(found)), found.refused.to_pylist()) == (2, [None, None])


def test_positions_too_large_to_be_packed_are_compared_all_the_same():
    far = [2**40 + 1, 2**40, 2**40 + 2]
    found = resolve(edges(("phone:1", "phone:2"), ("phone:2", "phone:3"), ("phone:9", "phone:9"), at=far, epoch=2**30), TODAY)
    assert found.nodes["person_id"].to_pylist()[0] == person_id("phone:2")
    assert found.nodes["first_seen"].to_pylist()[-1] == {"epoch": 2**30, "partition": 0, "offset": 2**40 + 2}
    assert {row["node"]: row["first_seen"]["offset"] - 2**40 for row in found.nodes.to_pylist()} == {"phone:1": 1, "phone:2": 0, "phone:3": 0, "phone:9": 2}


def test_the_kiosk_and_the_household_as_events():
    events = [["user_id:a", "email:home", "anonymous_id:k"], ["user_id:b", "email:home", "anonymous_id:k"], ["anonymous_id:k"], ["user_id:a", "anonymous_id:own"]]
    table = pa.table(
        {
            "epoch": pa.array([1] * 4, pa.int64()), "partition": pa.array([0] * 4, pa.int32()), "offset": pa.array(range(4), pa.int64()),
            "event_time": pa.array([0] * 4, pa.int64()).cast(TIME),
            "identifiers": pa.array([[{"node": name, "hint": "•"} for name in event] for event in events], pa.list_(IDENTIFIER)),
        }
    )  # fmt: skip
    assert persons(resolve(edges_of(table), TODAY)) == [["anonymous_id:k"], ["anonymous_id:own", "user_id:a"], ["email:home"], ["user_id:b"]]
