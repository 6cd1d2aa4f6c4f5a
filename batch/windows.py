"""Persons with the merged states of every trait's window, in the driver: the Arrow form of columns/finish.merge_windows. profiles.py uses it for what fits."""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.head import Head, after_cut
from batch.merging import merge_rows
from millrace.columns.finish import window_column
from millrace.identity.nodes import NAMESPACES
from millrace.tables.catalogue import TIME, Table, batch_view, speed_view
from millrace.tables.delta import TenantTables
from millrace.traits.finish import micros
from millrace.traits.traits import ALL_TIME, State, Trait
from millrace.traits.views import View


def persons_with_windows(tables: TenantTables, head: Head, view_name: str, *, as_of: datetime, nodes: pa.Table, is_all: bool) -> pa.Table:
    """One row per person of the nodes: person_id, identifier_count, hints in order of priority, and the columns of ``merge_windows``.

    ``is_all``: the nodes are all there are; otherwise only their tiles are read.
    """
    where = None if is_all else pc.field("key").isin(nodes["node"].combine_chunks())

    def owners(keys: pa.ChunkedArray) -> pa.ChunkedArray:
        return nodes["person_id"].take(pc.index_in(keys, value_set=nodes["node"].combine_chunks()))

    return _with_windows(tables, head, view_name, persons_of(nodes), as_of=as_of, owners=owners, wanted=where)


def keys_with_windows(tables: TenantTables, head: Head, view_name: str, *, as_of: datetime) -> pa.Table:
    """One row per key of a view of other keys than nodes: key, and the columns of ``merge_windows``."""
    batch, speed = _tables_of(head, view_name)
    keys = pa.concat_tables([
        tables.read(batch, columns=["key"], version=head.manifest.tables[batch.name]),
        tables.read(speed, columns=["key"], where=after_cut(head) & pc.field("key").is_valid()),
    ])  # fmt: skip
    found = pa.table({"key": pc.unique(keys["key"]).sort()})
    return _with_windows(tables, head, view_name, found, as_of=as_of, owners=lambda keys: keys, wanted=None)


def _with_windows(
    tables: TenantTables, head: Head, view_name: str, found: pa.Table, *, as_of: datetime, owners: Callable[[pa.ChunkedArray], pa.ChunkedArray], wanted: pc.Expression | None
) -> pa.Table:  # fmt: skip
    """The rows with the merged states of every window. The first column says whose they are, ``owners`` whose a key of the view is; ``wanted``: the tiles to read."""
    batch, speed = _tables_of(head, view_name)
    by = found.column_names[0]
    for trait, states in windows_of(head.manifest.definitions.views[view_name]).items():
        kinds = {state.name: state.kind for state in states.values()}
        where = inside_window(trait, as_of) if wanted is None else inside_window(trait, as_of) & wanted
        tiles = pa.concat_tables(
            [
                tables.read(batch, columns=["key", *kinds], where=where, version=head.manifest.tables[batch.name]),
                tables.read(speed, columns=["key", *kinds], where=where & after_cut(head)),
            ]
        )
        owned = tiles.drop_columns(["key"]).append_column(by, owners(tiles["key"]))
        # of nodes of whom only sources with a term have told, nobody is made
        merged = merge_rows(owned.filter(owned[by].is_valid()), keys=[by], kinds=kinds)
        place = pc.index_in(found[by], value_set=merged[by].combine_chunks())
        for name, state in states.items():
            found = found.append_column(name, merged[state.name].take(place))
    return found


def _tables_of(head: Head, view_name: str) -> tuple[Table, Table]:
    view = head.manifest.definitions.views[view_name]
    return batch_view(view_name, view), speed_view(view_name, view)


def windows_of(view: View) -> dict[Trait, dict[str, State]]:
    """One trait for each distinct (hop, window) of the view, with the states that are merged over it by the name of their column."""
    chosen: dict[tuple[int, str], Trait] = {}
    found: dict[Trait, dict[str, State]] = {}
    for trait in view.traits.values():
        of_window = found.setdefault(chosen.setdefault((trait.hop, trait.span.key), trait), {})
        of_window.update({window_column(trait, n): state for n, state in enumerate(trait.states)})
    return found


def persons_of(nodes: pa.Table) -> pa.Table:
    """person_id, identifier_count and the hints of the person's nodes, joined by commas, the highest namespace first."""
    namespaces = pc.index_in(pc.list_element(pc.split_pattern(nodes["node"], ":", max_splits=1), 0), value_set=pa.array(NAMESPACES))
    ordered = nodes.append_column("rank", pc.fill_null(namespaces, len(NAMESPACES))).sort_by([(name, "ascending") for name in ("person_id", "rank", "node")])
    codes = ordered["person_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.zeros(0, dtype=np.int64)
    bounds = np.r_[starts, len(codes)]
    hints = pc.binary_join(pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), pc.fill_null(ordered["hint"], "•••").combine_chunks()), ", ")
    return pa.table({"person_id": ordered["person_id"].take(pa.array(starts)), "identifier_count": pa.array(np.diff(bounds), pa.int64()), "hints": hints})


def inside_window(trait: Trait, as_of: datetime) -> pc.Expression:
    """Tiles of a trait's window."""
    inside = pc.field("hop") == trait.hop
    if trait.hop == ALL_TIME:
        return inside
    first, until = (tile * abs(trait.hop) * 1_000_000 for tile in trait.span.tiles(micros(as_of)))
    return inside & (pc.field("hop_start") >= pa.scalar(first, TIME)) & (pc.field("hop_start") < pa.scalar(until, TIME))
