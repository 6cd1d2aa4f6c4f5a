"""Hostile sets of edges through both layers: the batch version at a cut with the epochs after it on top says what resolving all edges at once says."""

import itertools
import unicodedata
from dataclasses import replace

import numpy as np
import pytest

from batch.head import nodes_around
from millrace.identity.decisions import UNDECIDED, Decisions
from millrace.identity.nodes import NAMESPACES, node_of
from millrace.identity.resolution import EVIDENCE, resolve
from millrace.identity.rules import IdentityRules, Rules
from millrace.tables.catalogue import SPEED_EDGES
from serving.store.persons import Persons
from tests.laws import oracle_persons as oracle
from tests.laws.batch_nodes import BatchNodes
from tests.laws.edge_sets import Sighting, edges_table, rules_of
from tests.laws.histories import SECRET

TODAY = rules_of(oracle.TODAY)[0]
BLOCKING = IdentityRules().compiled(SECRET)
EPOCHS = 4


def seen(pairs: list[tuple[str, str]], seed: int = 2) -> list[Sighting]:
    """In random order, spread over EPOCHS epochs."""
    order = np.random.default_rng(seed).permutation(len(pairs)).tolist()
    return [(*pairs[at], (1 + number * EPOCHS // len(pairs), 0, number)) for number, at in enumerate(order)]


def in_batch(sightings: list[Sighting], rules: Rules, decisions: Decisions = UNDECIDED) -> dict[str, frozenset[str]]:
    nodes = resolve(edges_table(sightings), rules, decisions).nodes
    found: dict[str, set[str]] = {}
    for node, person in zip(nodes["node"].to_pylist(), nodes["person_id"].to_pylist(), strict=True):
        found.setdefault(person, set()).add(node)
    return {person: frozenset(members) for person, members in found.items()}


def check_store(sightings: list[Sighting], rules: Rules, cut: int, looked_up: int = 5) -> dict[str, frozenset[str]]:
    """Persons of all edges at once; those of the batch version at the cut and of one epoch after the other are the same (of large ones some nodes are asked for)."""
    expected = in_batch(sightings, rules)
    base, persons = BatchNodes(edges_table([one for one in sightings if one[2][0] <= cut]), rules), Persons(rules)
    for epoch in range(cut + 1, EPOCHS + 1):
        persons.apply(persons.prepare(edges_table([one for one in sightings if one[2][0] == epoch], SPEED_EDGES), base))
    for person, members in expected.items():
        for node in sorted(members)[:: max(1, len(members) // looked_up)]:
            found = persons.find(node, base)
            assert found is not None and (found.id, frozenset(member.node for member in found.members)) == (person, members)
    return expected


def check_decided(sightings: list[Sighting], decisions: Decisions, *, cut: int, after: int, rules: Rules = TODAY) -> dict[str, frozenset[str]]:
    """The same when the store learns of decisions after an epoch; those of epochs up to the cut it learns from the batch version. Persons of all edges."""
    known = decisions if after <= cut else UNDECIDED
    base, persons = BatchNodes(edges_table([one for one in sightings if one[2][0] <= cut]), rules, known), Persons(rules, known)
    for epoch in range(cut, EPOCHS + 1):
        if epoch > cut:
            persons.apply(persons.prepare(edges_table([one for one in sightings if one[2][0] == epoch], SPEED_EDGES), base))
        if epoch == after > cut:
            persons.apply(persons.redecide(decisions, base))
        expected = in_batch([one for one in sightings if one[2][0] <= epoch], rules, decisions if epoch >= after else UNDECIDED)
        for person, members in expected.items():
            for node in members:
                found = persons.find(node, base)
                assert found is not None and (found.id, frozenset(member.node for member in found.members)) == (person, members)
    return expected


def sizes(people: dict[str, frozenset[str]]) -> list[int]:
    return sorted(map(len, people.values()))


@pytest.mark.parametrize("cut", [0, 2])
def test_a_chain_in_random_order_is_one_person_in_the_store_too(cut):
    names = [f"anonymous_id:{n:05d}" for n in range(5_000)]
    assert sizes(check_store(seen(list(itertools.pairwise(names))), TODAY, cut)) == [5_000]


@pytest.mark.parametrize("cut", [0, 2])
def test_a_chain_with_a_user_at_each_end_is_parted_at_the_same_edge_in_the_store(cut):
    names = ["user_id:a", *(f"anonymous_id:{n:04d}" for n in range(2_000)), "user_id:b"]
    found = check_store(seen(list(itertools.pairwise(names))), TODAY, cut)
    assert len(found) == 2 and sum(sizes(found)) == 2_002


@pytest.mark.parametrize("cut", range(EPOCHS + 1))
def test_a_cycle_and_two_chains_that_the_last_event_joins(cut):
    names = [f"anonymous_id:{n:03d}" for n in range(300)]
    assert sizes(check_store(seen(list(zip(names, [*names[1:], names[0]], strict=True))), TODAY, cut)) == [300]
    chains = seen([pair for half in (names[:150], names[150:]) for pair in itertools.pairwise(half)])
    assert sizes(check_store(chains, TODAY, cut)) == [150, 150]
    last = (names[149], names[150], (EPOCHS, 1, 0))
    assert sizes(check_store([*chains, last], TODAY, cut)) == [300]
    logins = [("user_id:a", names[0], (1, 1, 0)), ("user_id:b", names[299], (1, 1, 1))]
    assert sizes(check_store([*chains, *logins, last], TODAY, cut)) == [151, 151]


@pytest.mark.parametrize("cut", range(EPOCHS + 1))
def test_edges_of_equal_positions_are_taken_in_the_order_of_their_nodes_in_both_layers(cut):
    """One event shows them all: an owner with three others, and what conflicts with it at the same place of another partition."""
    pairs = [("phone:p", f"anonymous_id:{n}") for n in range(4)]
    together = [(*pair, (3, 0, 7)) for pair in pairs]
    logins = [(f"user_id:{n}", f"anonymous_id:{n}", (3, 0, 7)) for n in range(4)]
    found = check_store([*together, *logins], TODAY, cut)
    assert next(members for members in found.values() if "phone:p" in members) == {"phone:p", "anonymous_id:0", "user_id:0"}


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("value", ["José@exämple.com", "STRASSE@x.de", "ﬁn@x.de", "１２３＠x.de", "İ@x.de"])
def test_every_spelling_of_letters_beyond_ascii_is_one_node(namespace, value):
    """NFC and NFD, full width and ASCII, with what nobody sees around them; of an e-mail also ß and SS. The case of ids stays a difference."""
    forms = {unicodedata.normalize(form, value) for form in ("NFC", "NFD", "NFKC", "NFKD")}
    spellings = forms | {f"\u200b{one}\ufeff\u00a0" for one in forms}
    if namespace == "email":
        spellings |= {one.casefold() for one in spellings} | {one.upper() for one in spellings}
    nodes = {node_of(namespace, one, SECRET) for one in spellings}
    assert len(nodes) == 1 and (None in nodes) == (namespace == "phone" and not any(letter.isdecimal() for letter in value))


def test_the_case_of_an_email_is_no_difference_and_that_of_an_id_is_one():
    spelt = ["Ann@Example.com", "ANN@EXAMPLE.COM", "ann@example.com", "  ann@example.com\n"]
    assert len({node_of("email", value, SECRET) for value in spelt}) == 1
    assert len({node_of("user_id", value, SECRET) for value in spelt}) == 3
    assert len({node_of("anonymous_id", value, SECRET) for value in spelt}) == 3


@pytest.mark.parametrize("cut", [0, 2, 4])
def test_one_value_in_every_namespace_is_four_identifiers_of_nobody_in_common(cut):
    nodes = [node_of(namespace, "4711", SECRET) for namespace in NAMESPACES]
    assert len(set(nodes)) == len({node.partition(":")[2] for node in nodes}) == 4, "not even the tokens are alike"
    assert sizes(check_store(seen([(node, f"anonymous_id:{n}") for n, node in enumerate(nodes)]), TODAY, cut)) == [2] * 4


@pytest.mark.parametrize("cut", range(EPOCHS + 1))
def test_a_rule_that_is_tightened_afterwards_is_as_if_it_had_always_been(cut):
    """Whatever was one person under the rules of before: the same edges under the new rules, built anew, are those the oracle finds."""
    pairs = [(f"email:{n % 3}", f"user_id:{n % 5}") for n in range(15)] + [(f"anonymous_id:{n}", f"email:{n % 3}") for n in range(6)]
    history = seen(pairs)
    loose, tight = oracle.Rules(frozenset(), {}, dict.fromkeys(NAMESPACES)), oracle.Rules(frozenset({"user_id"}), {"anonymous_id": 1}, {"email": 6})
    assert check_store(history, rules_of(loose)[0], cut) == oracle.judge(history, loose).members
    assert check_store(history, rules_of(tight)[0], cut) == oracle.judge(history, tight).members
    assert sizes(oracle.judge(history, loose).members) == [14] != sizes(oracle.judge(history, tight).members)


@pytest.mark.parametrize("cut", [0, 2])
def test_a_hub_of_devices_is_one_person_and_one_second_user_on_a_device_does_not_part_it(cut):
    pairs = [("user_id:u", f"anonymous_id:{n:05d}") for n in range(20_000)]
    assert sizes(check_store(seen(pairs), TODAY, cut)) == [20_001]
    assert sizes(check_store([*seen(pairs), ("user_id:v", "anonymous_id:00007", (4, 1, 0))], TODAY, cut)) == [1, 1, 20_000]


@pytest.mark.parametrize("cut", [0, 2, 4])
def test_a_kiosk_with_10000_users_is_nobody_in_the_store_too(cut):
    pairs = [("anonymous_id:kiosk", f"user_id:{n:05d}") for n in range(10_000 if cut == 0 else 1_000)]
    mails = [(user, user.replace("user_id", "email")) for _, user in pairs]
    assert sizes(check_store(seen([*pairs, *mails]), TODAY, cut, looked_up=1)) == [1] + [2] * len(pairs)


@pytest.mark.parametrize("cut", range(EPOCHS + 1))
@pytest.mark.parametrize("junk", ["user_id:qa", "email:qa", "phone:qa", "anonymous_id:qa"])
def test_a_junk_value_on_no_list_is_nobodys_from_the_edge_on_that_shows_it_with_too_many(junk, cut):
    """Forty people on their own devices, all of them seen with the value; until it is crowded the devices of some are shared, or some of them joined."""
    rules = replace(TODAY, crowded_from=(30, 30, 30, 30))
    own = "email" if junk.startswith("anonymous_id") else "anonymous_id"
    pairs = [pair for n in range(40) for pair in ((junk, f"{own}:{n}"), (f"{own}:{n}", f"user_id:u{n}"))]
    people = check_store(seen(pairs), rules, cut, looked_up=1)
    assert sizes(people) == [1] + [2] * 40 and frozenset({junk}) in people.values()
    assert sizes(check_store(seen(pairs[:58]), rules, cut, looked_up=1)) != [1] + [2] * 29, "with 29 it is not crowded yet"


def test_an_alias_next_to_a_crowded_value_does_not_count_it_though_its_own_edges_are_not_looked_at():
    """Ann's device was seen with junk values before the cut, more of them than can be one; after it she shows it under a second id."""
    rules = replace(TODAY, crowded_from=(5, None, None, None), aliases=(2, 1, 1, 1))
    junk = [(f"user_id:qa{value}", f"anonymous_id:{n}", (1, 0, n)) for value in range(3) for n in range(6)]
    own, later = ("user_id:ann", "anonymous_id:0", (2, 0, 0)), [("user_id:ann", "user_id:anna", (3, 0, 0)), ("user_id:anna", "anonymous_id:0", (4, 0, 0))]
    people = check_store([*junk, own, *later], rules, 2)
    assert frozenset({"user_id:ann", "user_id:anna", "anonymous_id:0"}) in people.values()
    older, newer = (edges_table(rows).select(list(EVIDENCE)) for rows in ([*junk, own], later))
    found = nodes_around(resolve(older, rules).nodes, older, newer, rules).to_pylist()
    assert {row["node"] for row in found if row["person_id"] == found[0]["person_id"]} == {"user_id:ann", "user_id:anna", "anonymous_id:0"}


@pytest.mark.parametrize("cut", range(EPOCHS + 1))
@pytest.mark.parametrize("after", range(1, EPOCHS + 1))
def test_a_late_event_after_a_removal_revives_nobody(cut, after):
    """The node bridges two groups: they part, the anchor's side keeps the id, and events that show the node again join it with nobody."""
    left, right = [("user_id:a", "anonymous_id:1"), ("anonymous_id:1", "phone:gone")], [("phone:gone", "anonymous_id:2"), ("anonymous_id:2", "email:m")]
    history = [(*pair, (1, 0, n)) for n, pair in enumerate([*left, *right])]
    late = [("phone:gone", "email:m", (3, 0, 0)), ("user_id:a", "phone:gone", (4, 0, 0)), ("phone:gone", "email:new", (4, 0, 1))]
    before, removed = in_batch(history, TODAY), Decisions(1, removed=frozenset({"phone:gone"}))
    found = check_decided([*history, *late], removed, cut=cut, after=after)
    assert sorted(map(sorted, found.values())) == [["anonymous_id:1", "user_id:a"], ["anonymous_id:2", "email:m"], ["email:new"], ["phone:gone"]]
    assert found[next(iter(before))] == {"anonymous_id:1", "user_id:a"}, "the side with the anchor keeps the id"


@pytest.mark.parametrize("cut", range(EPOCHS + 1))
@pytest.mark.parametrize("after", range(1, EPOCHS + 1))
def test_parting_two_after_they_were_merged_holds_against_all_later_evidence(cut, after):
    history = [("user_id:a", "anonymous_id:1", (1, 0, 0)), ("anonymous_id:1", "email:m", (1, 0, 1)), ("email:m", "phone:p", (2, 0, 0))]
    more = [("user_id:a", "email:m", (3, 0, 0)), ("user_id:a", "phone:p", (4, 0, 0)), ("phone:p", "anonymous_id:1", (4, 0, 1))]
    found = check_decided([*history, *more], Decisions(1, parted=frozenset({("email:m", "user_id:a")})), cut=cut, after=after)
    assert not any({"email:m", "user_id:a"} <= members for members in found.values())
    assert sizes(in_batch([*history, *more], TODAY)) == [4]


@pytest.mark.parametrize("cut", [0, 2, 4])
def test_loops_repeated_and_reversed_edges_and_a_bridge_between_hubs_change_nothing(cut):
    hubs = [(f"email:{hub}", f"anonymous_id:{hub}{n:03d}") for hub in "ab" for n in range(200)]
    messy = [*hubs, *((b, a) for a, b in hubs), *((a, a) for a, _ in hubs), *hubs[:50]]
    assert check_store(seen(messy), TODAY, cut) and sizes(check_store(seen(messy), TODAY, cut)) == [201, 201]
    bridged = [*seen(messy), ("anonymous_id:a000", "anonymous_id:b000", (EPOCHS, 1, 0))]
    assert sizes(check_store(bridged, TODAY, cut)) == [402]
    tree = [(f"anonymous_id:t{n}", f"anonymous_id:t{(n - 1) // 2}") for n in range(1, 1_023)]
    assert sizes(check_store(seen(tree), TODAY, cut)) == [1_023]


NOBODY = [
    ("user_id", "null"), ("user_id", "\uff4e\uff55\uff4c\uff4c"), ("user_id", "n\u200bull\u00a0"), ("email", "\uff34est\uff20test.com"), ("phone", "\uff10"), ("user_id", "NULL"), ("user_id", "Null "), ("user_id", "00000000-0000-0000-0000-000000000000"), ("anonymous_id", "undefined"),
    ("email", "test@test.com"), ("email", " Test@TEST.com\t"), ("phone", "000-000 0000"), ("phone", "(000) 000-0000"),
]  # fmt: skip


@pytest.mark.parametrize(("namespace", "value"), NOBODY)
def test_nobodys_value_joins_none_of_100_people_in_both_layers(namespace, value):
    nobody = node_of(namespace, value, SECRET)
    pairs = [(nobody, node_of("phone" if namespace != "phone" else "email", f"{n}5551234", SECRET)) for n in range(100)]
    for cut in (0, 2):
        assert sizes(check_store(seen(pairs), BLOCKING, cut, looked_up=1)) == [1] * 101
