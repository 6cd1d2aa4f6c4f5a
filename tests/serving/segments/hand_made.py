"""A follower over tables written by hand, with rules made by hand, a clock that is moved and a topic that is a list."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from millrace.definitions import Definitions
from millrace.errors import BrokerUnavailable
from millrace.tables.catalogue import SEGMENT_CHANGES
from millrace.tables.delta import TenantTables
from millrace.traits.views import View
from serving.segments.following import SegmentFollower
from serving.segments.parts import Parts
from serving.segments.rules import Rules, rules_of
from serving.segments.state import Row
from serving.segments.watching import Declared
from tests.serving.store.by_hand import DEFINITIONS, SECRET
from tests.serving.store.stores import NOW

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A segment made by hand."""

    name: str
    traits: tuple[str, ...]
    rule: Callable[[Values, int], bool]
    moves: Callable[[Values, int], int | None] = lambda values, now: None
    order: int = 0

    def holds(self, values: Values, now: int) -> bool:
        return self.rule(values, now)

    def next_change(self, values: Values, now: int) -> int | None:
        return self.moves(values, now)


def since_first(values: Values, now: int) -> bool:
    return values["first_at"] is not None and now >= values["first_at"] + DAY_US


def a_day_after_first(values: Values, now: int) -> int | None:
    at = values["first_at"]
    return at + DAY_US if at is not None and at + DAY_US > now else None


BUYERS = Rule("buyers", ("orders",), lambda values, now: values["orders"] >= 2)
ACTIVE = Rule("active", ("orders_3h",), lambda values, now: values["orders_3h"] >= 1)
SPENDERS = Rule("spenders", ("spend_2d",), lambda values, now: values["spend_2d"] >= 20 * 10**9)
SETTLED_IN = Rule("settled_in", ("first_at",), since_first, a_day_after_first)
NORTH = Rule("north", ("last_store",), lambda values, now: values["last_store"] == "north")
RULES = (BUYERS, ACTIVE, SPENDERS, SETTLED_IN, NORTH)


class Clock:
    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@dataclass
class ListTopic:
    """What Kafka would hold; ``is_away`` refuses."""

    records: list[tuple[int, Row]] = field(default_factory=list)
    is_away: bool = False

    def publish(self, batch: int, rows: Sequence[Row]) -> None:
        if self.is_away:
            raise BrokerUnavailable("the broker is away")
        self.records += [(batch, row) for row in rows]

    def last_published(self) -> int:
        return max((batch for batch, _ in self.records), default=0)

    def close(self) -> None: ...


def rules_for(rules: Sequence[Rule], view: View, prints: Mapping[str, str] | None = None) -> Rules:
    return rules_of(rules, {rule.name: (prints or {}).get(rule.name, "1") for rule in rules}, view.traits)


class Follow:
    """A follower that a test drives round by round."""

    def __init__(
        self, root: Path, *, rules: Sequence[Rule] = RULES, definitions: Definitions = DEFINITIONS, clock: Clock | None = None, declared: Declared | None = None
    ) -> None:
        self.tables = TenantTables(root, "t")
        self.clock, self.topic, self.rules, self.prints = clock or Clock(), ListTopic(), tuple(rules), {}
        self.problems: dict[str, str] = {}
        self._definitions, self._declared = definitions, declared
        self.follower = self.start()

    def start(self) -> SegmentFollower:
        by_hand = lambda served: rules_for(self.rules, served, self.prints)  # noqa: E731
        rules = self._declared.rules if self._declared else by_hand
        parts = Parts(self.tables, self.topic, lambda: self._definitions, rules, secret=SECRET, clock=self.clock, poll_s=0.001, problems=self.problems)
        return SegmentFollower(parts)

    def restart(self) -> None:
        self.follower.close()
        self.follower = self.start()

    def settle(self, at: int | None = None) -> None:
        """Rounds until nothing is left to do, as of a time."""
        if at is not None:
            self.clock.now = at
        quiet = 0
        while quiet < 3:
            is_busy = self.follower.round()
            opening = self.follower._versions._opening
            if opening:
                opening._thread.join()
            quiet = 0 if is_busy or opening or not self.follower.is_ready else quiet + 1

    def rows(self) -> list[dict[str, Any]]:
        return self.tables.read(SEGMENT_CHANGES).sort_by([("batch", "ascending"), ("number", "ascending")]).to_pylist()

    def told(self) -> list[tuple[str, str, str]]:
        """Segment, change and reason of every change, in order."""
        return [(row["segment"], row["change"], row["because"]) for row in self.rows()]

    def held(self) -> dict[str, frozenset[str]]:
        """Segments of everybody who is in one, as the state holds them."""
        return {person: frozenset(record.since) for person, record in self.follower._state.records("", 10**6) if record.since}

    def from_table(self) -> dict[str, frozenset[str]]:
        """The same as the changes say."""
        return members_after([(row["segment"], row["person_id"], row["change"]) for row in self.rows()])

    def directly(self) -> dict[str, frozenset[str]]:
        """The same computed from the store now."""
        generation, judge = self.follower._generation, self.follower._judge
        assert generation is not None and judge is not None
        found = {}
        for person in generation.people():
            pinned = generation.pin(person.members[0].node)
            assert pinned is not None
            names = judge.judge(pinned, self.clock.now).names
            if names:
                found[person.id] = names
        return found

    def close(self) -> None:
        self.follower.close()


def members_after(changes: Sequence[tuple[str, str, str]]) -> dict[str, frozenset[str]]:
    """Memberships after changes; fails when somebody enters twice or leaves what he is not in."""
    held: dict[str, set[str]] = {}
    for segment, person, change in changes:
        of_person = held.setdefault(person, set())
        assert (segment in of_person) == (change == "left"), f"{change} {segment} twice"
        if change == "entered":
            of_person.add(segment)
        else:
            of_person.remove(segment)
    return {person: frozenset(names) for person, names in held.items() if names}
