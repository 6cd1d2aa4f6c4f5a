"""Features in the driver, for a log that fits it: questions in, their features out, through the kernels that the executors run (docs/adr/0007). historical.py chooses."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from batch.driver_engine import DriverEngine
from batch.features.finishing import features_schema, finished_features
from batch.features.knowledge import Decided
from batch.features.persons_then import ASKED, REGION, members_then
from batch.features.windows_then import windows_then
from batch.respelling import Respelling
from millrace.definitions import Definitions
from millrace.features import ViewFeatures
from millrace.identity.edges import edges_of
from millrace.identity.node_codes import codes_of
from millrace.identity.rules import Rules
from millrace.tables.delta import TenantTables, conform
from millrace.tables.ledger import NOTHING


def counted_events(tables: TenantTables, definitions: Definitions, views: Sequence[ViewFeatures], *, head: int, respelling: Respelling) -> pa.Table:
    """The events that count, up to a head, with the values that the views read."""
    narrow = Definitions(enrichment=definitions.enrichment, views={view.name: view.view for view in views}, identity=definitions.identity, sources=definitions.sources)
    found: pa.Table = DriverEngine(tables, respelling).log_slice(narrow, after=NOTHING, until=head, served=NOTHING).counted
    return found


def features_of(
    questions: pa.Table, counted: pa.Table, views: Sequence[ViewFeatures], *, rules: Rules, decided: Decided, quiet: Iterable[str] = (), now: int = 0
) -> pa.Table:  # fmt: skip
    """Rows of ``features_schema`` for those questions of whom somebody had seen the identifier. ``questions``: rows of ASKED, each once.
    ``quiet``: sources that show no edge; ``now``: when the answers are given, in microseconds."""
    members = members_then(with_regions(edges_of(counted, quiet), questions, rules, decided), rules, decided)
    if not len(members):
        return features_schema(views).empty_table()
    return finished_features(windows_then(pa.concat_tables([counted, members], promote_options="default"), views, now=now), views)


def with_regions(edges: pa.Table, questions: pa.Table, rules: Rules, decided: Decided) -> pa.Table:
    """Rows of REGION: the edges and the questions about their nodes."""
    rows, nodes = regions(edges, rules, decided)
    place = pc.index_in(questions["asked"], value_set=nodes["node"].combine_chunks())
    asking = questions.select(ASKED.names).append_column("region", nodes["region"].take(place)).filter(place.is_valid())
    return pa.concat_tables([rows, conform(asking, REGION)])


def regions(edges: pa.Table, rules: Rules, decided: Decided) -> tuple[pa.Table, pa.Table]:
    """The edges as rows of REGION, and (node, region): a number for each group of nodes that may have been one person at some head. An edge of a blocked node joins nobody
    at any; it becomes the two nodes, each by itself."""
    names, codes = codes_of(pa.chunked_array([*edges["a"].chunks, *edges["b"].chunks], pa.string()))
    left, right = np.split(codes, 2)
    alone = pc.is_in(names, value_set=pa.array(sorted(rules.blocked), pa.string())).to_numpy(zero_copy_only=False)
    cut = (alone[left] | alone[right]) & (left != right)
    joined = [pc.index_in(pa.array(ends, pa.string()), value_set=names) for ends in zip(*sorted(decided.ever().joined), strict=True)]
    ends = [np.r_[side[~cut], _present(joined, n)] for n, side in enumerate((left, right))]
    _, region = connected_components(coo_matrix((np.ones(len(ends[0]), np.int8), ends), shape=(len(names), len(names))), directed=False)
    seen = edges["first_seen"]
    kept = np.flatnonzero(~cut)
    parts = [_edges(names, left[kept], right[kept], region, seen.take(pa.array(kept)))]
    parts += [_edges(names, side[cut], side[cut], region, seen.take(pa.array(np.flatnonzero(cut)))) for side in (left, right)]
    return pa.concat_tables(parts), pa.table({"node": names, "region": pa.array(region, pa.int64())})


def _present(pairs: list[pa.Array], end: int) -> np.ndarray:
    """One end of the pairs of which both ends are there."""
    if not pairs:
        return np.zeros(0, np.int64)
    both = pc.and_(pairs[0].is_valid(), pairs[1].is_valid())
    return pairs[end].filter(both).to_numpy().astype(np.int64)


def _edges(names: pa.Array, left: np.ndarray, right: np.ndarray, region: np.ndarray, first_seen: pa.ChunkedArray) -> pa.Table:
    columns = {"region": pa.array(region[left], pa.int64()), "a": names.take(pa.array(left)), "b": names.take(pa.array(right)), "first_seen": first_seen}
    return conform(pa.table(columns), REGION)
