"""The parts in which a batch version is merged, proved and written: each hop of a view with the states kept for it, and the edges. build.py walks them.

A part is one shape of rows in both layers. Taking a view hop by hop keeps rows narrow: a tile of an hour holds one state or two, not twenty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from millrace.definitions import Definitions
from millrace.tables.catalogue import BATCH_EDGES, SPEED_EDGES_TABLE, Table, batch_view, speed_view
from millrace.traits.fold import OF_NODES
from millrace.traits.keys import Key
from millrace.traits.traits import State
from millrace.traits.views import View

Hops = Mapping[State, frozenset[int]]
_EDGE_KINDS = {"hint_a": "min", "hint_b": "min", "first_at": "min", "last_at": "max", "seen_count": "count", "first_seen": "first"}


@dataclass(frozen=True, eq=False)
class Part:
    """``keys`` name a row, ``kinds`` are its columns with the kind of their merge. ``hop`` None: the edges. ``states``: what to fold to get such rows, ``key``: by what.
    ``quiet``: sources of which no edge comes."""

    batch: Table
    speed: Table
    keys: tuple[str, ...]
    kinds: Mapping[str, str]
    hop: int | None = None
    states: Hops | None = None
    key: Key = OF_NODES
    quiet: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.batch.name if self.hop is None else f"{self.batch.name} hop {self.hop}"

    @property
    def columns(self) -> list[str]:
        return [*self.keys, *self.kinds]

    def comparable_with(self, older: Definitions) -> "Part | None":
        """The part with only the states that older definitions keep for this hop too; None when there are none. Edges are all there, or of other sources."""
        if self.states is None or self.hop is None:
            return self if self.quiet == older.terms.keys() else None
        view = older.views.get(self.batch.name.rpartition("/")[2])
        if view is None or view.keyed != self.key:
            return None
        kept = {state: hops for state, hops in self.states.items() if self.hop in view.states.get(state, ())}
        return replace(self, states=kept, kinds={state.name: state.kind for state in kept}) if kept else None


EDGES_PART = Part(BATCH_EDGES, SPEED_EDGES_TABLE, ("a", "b"), _EDGE_KINDS)


def parts_of_view(name: str, view: View) -> list[Part]:
    """One part a hop, the shortest first."""
    parts = []
    for hop in view.hops:
        kept = {state: frozenset({hop}) for state, hops in view.states.items() if hop in hops}
        kinds = {state.name: state.kind for state in kept}
        parts.append(Part(batch_view(name, view), speed_view(name, view), ("key", "hop", "hop_start"), kinds, hop, kept, view.keyed))
    return parts


def tables_of(definitions: Definitions) -> dict[Table, list[Part]]:
    """Parts of each batch table that holds states or edges."""
    views = {batch_view(name, view): parts_of_view(name, view) for name, view in definitions.views.items()}
    return views | {BATCH_EDGES: [replace(EDGES_PART, quiet=frozenset(definitions.terms))]}
