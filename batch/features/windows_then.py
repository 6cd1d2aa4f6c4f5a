"""What the windows of a question held: events and members of persons in, the merged states of every window out. historical.py calls ``windows_then`` on whole nodes.

Each event is folded once, by the fold both layers share, into states of its tile and of its cell: of events that the same questions about the node know. A question
merges the cells it knows of the tiles its windows have. It knows the events of epochs that existed at its instant, and of those that came to be known later, until its
``known_at``, the ones that had happened by the instant (docs/adr/0021).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.features.persons_then import ASKED, QUESTION
from batch.merging import merge_rows
from batch.windows import windows_of
from millrace.features import ViewFeatures
from millrace.identity.node_codes import codes_of
from millrace.tables.catalogue import state_type
from millrace.traits.fold import fold_events
from millrace.traits.traits import ALL_TIME, State, Trait

PAIRS_AT_ONCE = 2_000_000
"""Pairs of a question and a tile that are merged together."""


class _Members(NamedTuple):
    """The node of each member, and the last cells it knows: of what existed at the instant, of what was known later, and of what had happened by then."""

    node: np.ndarray
    at: np.ndarray
    then: np.ndarray
    later: np.ndarray
    happened: np.ndarray


class _Cells(NamedTuple):
    """Of each cell the node, the place of its epochs and that of its event times, among those the questions ask for."""

    node: np.ndarray
    epoch: np.ndarray
    time: np.ndarray


def columns_of(views: Sequence[ViewFeatures]) -> dict[str, State]:
    """The state of each column that ``windows_then`` leaves."""
    return {prefix_of(view) + name: state for view in views for states in windows_of(view.view).values() for name, state in states.items()}


def windows_schema(views: Sequence[ViewFeatures]) -> pa.Schema:
    return pa.schema([*QUESTION, *((name, state_type(state)) for name, state in columns_of(views).items())])


def windows_then(rows: pa.Table, views: Sequence[ViewFeatures], *, now: int = 0, at_once: int = PAIRS_AT_ONCE) -> pa.Table:
    """One row for each member: the question and what the windows held of that node; null where nothing was known. In: events as the fold takes them and rows of
    MEMBERS (``asked`` is null for an event), every node whole. ``now`` (microseconds): when it is asked; of what has a term over by then nothing is told."""
    is_member = rows["asked"].is_valid()
    asked, events = rows.filter(is_member), rows.filter(pc.invert(is_member)).drop_columns(ASKED.names)
    found = asked.select(QUESTION.names)
    _, codes = codes_of(pa.chunked_array([*asked["node"].chunks, *events["node"].chunks], pa.string()))
    node_of_member, node_of_event = np.split(codes, [len(asked)])
    members, cells, cell = _cells(asked, events, node_of_member, node_of_event)
    known = np.flatnonzero(cell >= 0)
    known_events = events.take(pa.array(known)).set_column(events.column_names.index("node"), "node", pa.array(cell[known], pa.int64()))
    for view in views:
        folded = fold_events(known_events, view.view.states)
        of_row = folded["key"].cast(pa.int64()).to_numpy()
        for trait, states in windows_of(view.view).items():
            merged = _merged(folded, of_row, (trait, states), members=members, cells=cells, now=now, at_once=at_once)
            for name, state in states.items():
                found = found.append_column(pa.field(prefix_of(view) + name, state_type(state)), merged[state.name])
    return found


def prefix_of(view: ViewFeatures) -> str:
    """What the columns of a view's windows begin with: views may have windows of one name."""
    return f"{view.name}:"


def _cells(asked: pa.Table, events: pa.Table, node_of_member: np.ndarray, node_of_event: np.ndarray) -> tuple[_Members, _Cells, np.ndarray]:
    """Members, cells, and the cell of each event; −1 for one that nobody knows."""
    head, then, epoch = asked["head"].to_numpy(), asked["head_then"].to_numpy(), events["epoch"].to_numpy()
    at, time = (column.cast(pa.int64()).to_numpy() for column in (asked["at"], events["event_time"]))
    span = int(max(head.max(initial=0), then.max(initial=0), epoch.max(initial=0))) + 1
    then, is_later = np.minimum(head, then), head > then
    heads = np.unique(np.r_[node_of_member * span + then, (node_of_member * span + head)[is_later]])
    place = np.searchsorted(heads, node_of_event * span + epoch)
    is_known = place < len(heads)
    is_known[is_known] = heads[place[is_known]] // span == node_of_event[is_known]
    instants = np.unique(at[is_later])
    times = np.unique((node_of_member * (len(instants) + 1) + np.searchsorted(instants, at))[is_later])
    happened = np.searchsorted(times, node_of_event * (len(instants) + 1) + np.searchsorted(instants, time))
    members = _Members(
        node_of_member, at, np.searchsorted(heads, node_of_member * span + then), np.where(is_later, np.searchsorted(heads, node_of_member * span + head), -1),
        np.searchsorted(times, node_of_member * (len(instants) + 1) + np.searchsorted(instants, at)),
    )  # fmt: skip
    distinct, cell = np.unique((place * (len(times) + 1) + happened)[is_known], return_inverse=True)
    of_event = np.full(len(place), -1)
    of_event[is_known] = cell
    epochs, when = np.divmod(distinct, len(times) + 1)
    return members, _Cells(heads[epochs] // span, epochs, when), of_event


def _merged(
    folded: pa.Table, of_row: np.ndarray, window: tuple[Trait, dict[str, State]], *, members: _Members, cells: _Cells, now: int, at_once: int
) -> dict[str, pa.ChunkedArray]:  # fmt: skip
    """The states of one window for each member, by the name of the state."""
    trait, states = window
    names = list(dict.fromkeys(state.name for state in states.values()))
    is_inside = pc.equal(folded["hop"], trait.hop).to_numpy()
    is_inside &= np.logical_or.reduce([folded[name].is_valid().to_numpy() for name in names])
    rows = np.flatnonzero(is_inside)
    tiles = folded["hop_start"].cast(pa.int64()).to_numpy()[rows] // (abs(trait.hop) * 1_000_000 or 1)
    lowest = int(tiles.min(initial=0))
    span = int(tiles.max(initial=0)) - lowest + 2
    place = cells.node[of_row[rows]] * span + tiles - lowest
    order = np.argsort(place, kind="stable")
    rows, place = rows[order], place[order]
    first, until = (np.searchsorted(place, members.node * span + np.clip(tile - lowest, 0, span - 1)) for tile in _tiles(trait, members.at, now))
    epoch, time = cells.epoch[of_row[rows]], cells.time[of_row[rows]]
    kinds = {state.name: state.kind for state in states.values()}
    parts = []
    for member, at in _pairs(first, until, at_once):
        knows = (epoch[at] <= members.then[member]) | ((epoch[at] <= members.later[member]) & (time[at] <= members.happened[member]))
        taken = folded.select(names).take(pa.array(rows[at[knows]])).append_column("member", pa.array(member[knows], pa.int64()))
        parts.append(merge_rows(taken, keys=["member"], kinds=kinds))
    merged = pa.concat_tables(parts) if parts else None
    if merged is None:
        return {state.name: pa.chunked_array([pa.nulls(len(members.node), state_type(state))]) for state in states.values()}
    row = np.full(len(members.node), -1)
    row[merged["member"].to_numpy()] = np.arange(len(merged))
    return {name: merged[name].take(pa.array(row, mask=row < 0)) for name in names}


def _tiles(trait: Trait, at: np.ndarray, now: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last tile (exclusive) of the window of each member."""
    if trait.hop == ALL_TIME:
        return np.zeros_like(at), np.ones_like(at)
    instants, number = np.unique(at, return_inverse=True)
    tiles = np.array([trait.span.tiles(instant, now) for instant in instants.tolist()], np.int64).reshape(-1, 2)
    return tiles[number, 0], tiles[number, 1]


def _pairs(first: np.ndarray, until: np.ndarray, at_once: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Members with each tile of theirs, about so many pairs at a time; all tiles of a member come together."""
    counts = np.maximum(until - first, 0)
    number = np.cumsum(counts) // at_once
    borders = np.r_[np.flatnonzero(np.r_[True, number[1:] != number[:-1]]), len(counts)] if len(counts) else np.zeros(1, np.int64)
    for start, end in zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True):
        here = counts[start:end]
        member = np.repeat(np.arange(start, end), here)
        yield member, np.repeat(first[start:end] - (np.cumsum(here) - here), here) + np.arange(len(member))
