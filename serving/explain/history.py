"""What publishes have changed for one identifier and the persons it belonged to, from the rows of changes. explaining.py asks up to the manifest it answers from."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from millrace.tables.catalogue import IDENTITY_CHANGES
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest
from millrace.traits.finish import micros, time_text
from serving.explain.answers import Change, History

_GROUP = ["manifest_id", "cut_before", "cut", "cause", "change", "person_before", "person_after"]


class Belonged:
    """Which person an identifier was of, before and after each publish; ``now`` where no row says."""

    def __init__(self, own: pa.Table, now: str | None) -> None:
        own = own.sort_by("manifest_id")
        self._at = own["manifest_id"].to_pylist()
        self._after = own["person_after"].to_pylist()
        self._first = own["person_before"][0].as_py() if len(own) else now

    @property
    def persons(self) -> set[str]:
        return {person for person in (self._first, *self._after) if person}

    def before(self, manifest_id: int) -> str | None:
        return self._last(bisect_left(self._at, manifest_id))

    def after(self, manifest_id: int) -> str | None:
        return self._last(bisect_right(self._at, manifest_id))

    def _last(self, count: int) -> str | None:
        return self._after[count - 1] if count else self._first


def history(tables: TenantTables, manifests: Sequence[Manifest], node: str, *, now: Callable[[], str | None], limit: int) -> History:
    """The newest ``limit`` changes under the given manifests; ``now`` gives the person the node is of at the cut, for one that no row names."""
    if not manifests:
        return History([], False, [])
    published = {one.manifest_id: one for one in manifests}
    exists = pc.field("manifest_id") <= max(published)
    own = tables.read(IDENTITY_CHANGES, where=exists & (pc.field("node") == node))
    belonged = Belonged(own, None if len(own) else now())
    persons = pa.array(sorted(belonged.persons), pa.string())
    rows = tables.read(IDENTITY_CHANGES, columns=[*_GROUP, "node"], where=exists & (pc.field("person_before").isin(persons) | pc.field("person_after").isin(persons)))
    rows = rows.append_column("own", pc.equal(rows["node"], node).cast(pa.int64()))
    grouped = rows.group_by(_GROUP).aggregate([([], "count_all"), ("own", "max")])
    grouped = grouped.sort_by([("manifest_id", "descending"), *((name, "ascending") for name in _GROUP[4:])])
    found = []
    for row in grouped.to_pylist():
        at = row["manifest_id"]
        concerned = any(
            row[f"person_{when}"] is not None and row[f"person_{when}"] == person for when, person in (("before", belonged.before(at)), ("after", belonged.after(at)))
        )
        if concerned and at in published:
            when = time_text(micros(published[at].published_at))
            found.append(Change(at, when, *(row[name] for name in _GROUP[1:]), row["count_all"], row["own_max"] == 1))
    unknown = [one.manifest_id for one in manifests if one.proof.get("identity", {}).get("unknown")]
    return History(found[:limit], len(found) > limit, unknown)
