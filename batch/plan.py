"""What other rules of identity would do, before anybody applies them: who would be merged, split, isolated or freed. jobs/plan_identity.py shows it.

The persons at the head as they are are compared with those that all edges up to there and the decisions that stand make under the proposed rules. Nothing is written.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch.head import after_cut, newest_head, nodes_at, published_nodes, touched_nodes
from batch.identity_changes import compared
from millrace.identity.nodes import namespace_of
from millrace.identity.resolution import EVIDENCE, resolve
from millrace.identity.rules import IdentityRules
from millrace.keys import read_keys
from millrace.tables.catalogue import BATCH_EDGES, SPEED_EDGES_TABLE
from millrace.tables.delta import TenantTables

KINDS = ("merged", "split", "moved", "isolated", "freed")


@dataclass(frozen=True)
class Plan:
    """``counts`` as a publish would write them into its proof (identity_changes.compared), and persons before and after. ``samples``: by kind of change, persons
    with their identifiers, masked, and where each of these would be."""

    manifest_id: int
    head: int
    persons_before: int
    persons_after: int
    counts: dict[str, int]
    refused: dict[str, int]
    samples: dict[str, list[dict[str, Any]]]


def plan_identity(tables: TenantTables, rules: IdentityRules, *, samples: int = 5) -> Plan:
    """The plan of the rules at the head. NothingToDo before the first publish."""
    head = newest_head(tables)
    published = published_nodes(tables, head)
    before = nodes_at(published, touched_nodes(tables, head, published, after=head.cut))
    edges = tables.read(BATCH_EDGES, columns=EVIDENCE, version=head.manifest.tables[BATCH_EDGES.name])
    edges = pa.concat_tables([edges, tables.read(SPEED_EDGES_TABLE, columns=EVIDENCE, where=after_cut(head))])
    found = resolve(edges, rules.compiled(read_keys(tables.root, tables.tenant).token_secret), head.decisions)
    changes, counts = compared(before, found.nodes)
    pairs = pa.table([edges["a"], edges["b"], found.refused], names=["a", "b", "reason"]).filter(found.refused.is_valid())
    reasons = pairs.group_by(["a", "b", "reason"]).aggregate([]).group_by("reason").aggregate([([], "count_all")]).sort_by("reason").to_pylist()
    return Plan(
        manifest_id=head.manifest.manifest_id, head=head.epoch, persons_before=_persons(before), persons_after=_persons(found.nodes), counts=counts,
        refused={row["reason"]: row["count_all"] for row in reasons},
        samples={kind: shown for kind in KINDS if (shown := _samples(changes, kind, before, found.nodes, samples))},
    )  # fmt: skip


def _persons(nodes: pa.Table) -> int:
    return int(pc.count_distinct(nodes["person_id"]).as_py())


def _samples(changes: pa.Table, kind: str, before: pa.Table, after: pa.Table, most: int) -> list[dict[str, Any]]:
    """Persons of whom nodes change so: of merged ones the person that comes of it, of others the person that was."""
    side, nodes = ("person_after", after) if kind == "merged" else ("person_before", before)
    named = pc.unique(changes.filter(pc.equal(changes["change"], kind))[side]).sort()[:most]
    others = {row["node"]: row["person_id"] for row in (before if kind == "merged" else after).select(["node", "person_id"]).to_pylist()} if len(named) else {}
    shown = []
    for person in named.to_pylist():
        members = nodes.filter(pc.equal(nodes["person_id"], person)).sort_by("node").to_pylist()
        identifiers = [{"namespace": namespace_of(row["node"]), "value": row["hint"], "person": others.get(row["node"])} for row in members]
        shown.append({"person": person, "identifiers": identifiers})
    return shown
