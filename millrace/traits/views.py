"""Views as declared: the traits of one kind of key, and the states they stand on. The definitions hold them by name."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from millrace.traits.derived import Compiled, Derived, WrongExpressions, compile_derived
from millrace.traits.keys import NODE, Key, Paths, as_paths, key_of, key_problems
from millrace.traits.lines import lists_of
from millrace.traits.parties import Counted
from millrace.traits.states import State
from millrace.traits.traits import Trait
from millrace.traits.zones import check_zone

NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
RECEIPT_COLUMNS = ("as_of", "manifest_id", "cut", "head", "definitions_hash", "decisions")
PROFILE_COLUMNS = ("person_id", "identifier_count", "hints", *RECEIPT_COLUMNS)
"""Columns of serving/profiles besides the traits; the tables of other views have the parts of their keys in the place of the first three."""


class View(BaseModel):
    """Traits of one kind of key. ``node``: the identifier that owns the event; a person's answer merges the rows of all his nodes. Otherwise paths by name, of which
    the values in an event make the key: an event that lacks one does not count. ``time_zone``: whose days the calendars of its traits have. ``derived``: traits that are expressions over others; they are declared among the traits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Annotated[Literal["node"] | Paths, BeforeValidator(as_paths)]
    time_zone: Annotated[str, BeforeValidator(check_zone)] = "UTC"
    traits: dict[str, Trait] = Field(min_length=1)
    derived: dict[str, Derived] = Field(default_factory=dict)
    _rules: tuple[str, ...] = PrivateAttr(())  # digests of the families of enriched values that the key reads; the definitions set them

    @model_validator(mode="before")
    @classmethod
    def _sorted_out(cls, found: Any) -> Any:
        """Hands its time zone to the traits, which know then what their days are, and keeps traits that are expressions apart."""
        if not isinstance(found, dict) or not isinstance(found.get("traits"), dict):
            return found
        traits = found["traits"]
        if derived := {name: trait for name, trait in traits.items() if isinstance(trait, dict) and "expr" in trait}:
            traits = {name: trait for name, trait in traits.items() if name not in derived}
            found = found | {"derived": found.get("derived", {}) | derived}
        with suppress(ValueError):  # a wrong zone is told where it is written
            zone = {"time_zone": check_zone(found["time_zone"])} if "time_zone" in found else {}
            traits = {name: zone | trait if isinstance(trait, dict) else trait for name, trait in traits.items()}
        return found | {"traits": traits}

    @model_validator(mode="after")
    def _names(self) -> "View":
        if {trait.time_zone for trait in self.traits.values()} - {self.time_zone}:
            raise ValueError("a view has one time zone for all its traits; write time_zone beside key")
        lists = lists_of(path for reader in (self.keyed, *self.states) for path, _ in reader.reads)
        lines = [f"a view reads the lines of one list, and this one reads those of {' and '.join(lists)}; make a view of each"] if len(lists) > 1 else []
        if problems := [*_name_problems([*self.traits, *self.derived], self.key), *_key_problems(self.key, [*self.traits, *self.derived]), *lines]:
            raise ValueError("; ".join(problems))
        self.compiled  # noqa: B018  (a wrong expression is told here)
        return self

    def under(self, digest: Callable[[str], str]) -> "View":
        """The view with its traits under the rules of enriched values; ``digest`` of a family is asked for only when a trait reads a value of it."""
        found = self.model_copy(update={"traits": {name: trait.under(digest) for name, trait in self.traits.items()}})
        found._rules = tuple(map(digest, key_of(self.key, self.time_zone).families))
        return found

    def counting(self, counted: Callable[[Trait], Counted]) -> "View":
        """The view whose traits count the events of the sources they are given."""
        return self.model_copy(update={"traits": {name: trait.counting(counted(trait)) for name, trait in self.traits.items()}})

    def only(self, traits: dict[str, Trait], derived: dict[str, Derived]) -> "View":
        """The view with no other traits than these."""
        found = View(key=self.key, time_zone=self.time_zone, traits=traits, derived=derived)
        found._rules = self._rules
        return found

    @property
    def keyed(self) -> Key:
        """How its keys are made of events."""
        return key_of(self.key, self.time_zone).under(self._rules)

    @cached_property
    def compiled(self) -> tuple[Compiled, ...]:
        """The derived traits, each after those it names."""
        return compile_derived(self.derived, {name: trait.expressed for name, trait in self.traits.items() if trait.expressed})

    @property
    def inputs(self) -> tuple[str, ...]:
        """Traits that derived ones are computed from."""
        return tuple(dict.fromkeys(name for one in self.compiled for name in one.inputs))

    @property
    def states(self) -> dict[State, frozenset[int]]:
        """Every state of the view, by name, with the hops it is kept for."""
        hops: dict[State, set[int]] = {}
        for trait in self.traits.values():
            for state in trait.states:
                hops.setdefault(state, set()).add(trait.hop)
        return {state: frozenset(hops[state]) for state in sorted(hops)}

    @property
    def hops(self) -> tuple[int, ...]:
        return tuple(sorted({trait.hop for trait in self.traits.values()}))


def _key_problems(key: Any, names: list[str]) -> Iterator[str]:
    if isinstance(key, dict):
        yield from key_problems(key, taken=(*names, *RECEIPT_COLUMNS, "key", "view", "after", "limit"))


def _name_problems(names: list[Any], key: Any) -> Iterator[str]:
    wrong = [name for name in names if isinstance(name, str) and not NAME.match(name)]
    if wrong:
        yield f"trait names {wrong} are not allowed: lower-case letters, digits and _, starting with a letter"
    columns = PROFILE_COLUMNS if key == NODE else RECEIPT_COLUMNS
    if taken := [name for name in names if name in columns]:
        yield f"trait names {taken} are columns that every {'profile' if key == NODE else 'row of the view'} has ({', '.join(columns)}); choose other names"


def further_problems(found: Any) -> Iterator[str]:
    """What is wrong with the names and expressions of a view of which something else is wrong too; a trait that is wrong itself has any type."""
    traits = found.get("traits") if isinstance(found, dict) else None
    yield from _name_problems(list(traits) if isinstance(traits, dict) else [], found.get("key") if isinstance(found, dict) else None)
    types, derived = {}, {}
    for name, declared in traits.items() if isinstance(traits, dict) else ():
        with suppress(ValidationError):
            if isinstance(declared, dict) and "expr" in declared:
                derived[name] = Derived.model_validate(declared)
                continue
        types[name] = "any"
        with suppress(ValidationError):
            types[name] = Trait.model_validate(declared).expressed or "any"
    try:
        compile_derived(derived, types)
    except WrongExpressions as error:
        yield from error.problems
