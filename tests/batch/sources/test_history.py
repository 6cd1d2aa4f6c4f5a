"""The history of entities does not depend on the order, the repetition or the splitting of what is said; at every instant it says what was said last of it."""

from hypothesis import given, seed, settings
from hypothesis import strategies as st

from batch.sources.history import Statement, Version, change_id, merged, versions
from tests.tiers import LAW_EXAMPLES, SEED


def said(key: str, at: int, value: str, sequence: int = 0, *, deleted: bool = False) -> Statement:
    attributes = None if deleted else value
    return Statement(change_id("crm", key, at, attributes, deleted=deleted), key, at, sequence, 0, attributes, deleted, "run")


STATEMENT = st.builds(said, st.sampled_from("ab"), st.integers(0, 5), st.sampled_from("xyz"), st.integers(0, 3), deleted=st.booleans())


def history(*deliveries: list[Statement]) -> list[Version]:
    """What stands in the table after the deliveries, one after the other."""
    known: dict[str, Statement] = {}
    for one in deliveries:
        known = merged(known.values(), one)
    return list(versions(known.values()))


def held(found: list[Version], key: str, at: int) -> str | None:
    """What a reader of the table finds for an instant."""
    rows = [one.said for one in found if one.said.key == key and one.said.valid_from <= at and (one.valid_to is None or at < one.valid_to)]
    assert len(rows) <= 1
    return rows[0].attributes if rows else None


@seed(SEED)
@settings(max_examples=LAW_EXAMPLES // 4, deadline=None)
@given(st.lists(STATEMENT, max_size=12), st.randoms(), st.integers(0, 12))
def test_any_order_any_split_and_any_repetition_give_the_same_history(statements, chance, cut):
    shuffled = [*statements, *statements[: cut // 2]]
    chance.shuffle(shuffled)
    assert history(statements) == history(shuffled[:cut], shuffled[cut:])


@seed(SEED)
@settings(max_examples=LAW_EXAMPLES // 4, deadline=None)
@given(st.lists(STATEMENT, max_size=12), st.sampled_from("ab"), st.integers(0, 6))
def test_at_every_instant_holds_what_was_said_last_of_it(statements, key, at):
    first: dict[str, Statement] = {}
    for one in sorted(statements, key=lambda each: each.sequence, reverse=True):
        first[one.change_id] = one  # a repetition is no correction: the earliest saying stays
    of_key = [one for one in first.values() if one.key == key and one.valid_from <= at]
    last = max(of_key, key=lambda one: (one.valid_from, one.sequence, one.change_id), default=None)
    assert held(history(statements), key, at) == (last.attributes if last else None)


def test_a_late_change_lands_between_those_it_belongs_to():
    #      1   2   3   4   5
    #      x-----------z----     then y at 3 comes late:  x---y---z---
    before = history([said("a", 1, "x"), said("a", 4, "z")])
    after = history([said("a", 1, "x"), said("a", 4, "z")], [said("a", 3, "y")])
    assert [(one.said.attributes, one.valid_to) for one in before] == [("x", 4), ("z", None)]
    assert [(one.said.attributes, one.valid_to) for one in after] == [("x", 3), ("y", 4), ("z", None)]


def test_a_correction_of_the_same_instant_leaves_what_it_corrects_without_a_time():
    found = history([said("a", 1, "x", 1)], [said("a", 1, "y", 2)])
    assert [(one.said.attributes, one.said.valid_from, one.valid_to) for one in found] == [("x", 1, 1), ("y", 1, None)]
