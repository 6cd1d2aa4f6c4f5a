"""A run of the linkage: the persons of the newest batch version in, candidates with a verdict out. jobs/link_persons.py calls it."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.linkage.attributes import ID, comparable
from batch.linkage.linking import REVIEW, UNDECIDED, Linked, link
from batch.linkage.model import Model, train
from batch.linkage.persons import Persons, read_persons
from millrace.errors import NothingToDo
from millrace.identity.linkage_rules import LinkageRules
from millrace.identity.nodes import person_id
from millrace.identity.rules import IdentityRules
from millrace.tables.catalogue import LINK_CANDIDATE, LINK_CANDIDATES, LINK_MODEL, LINK_MODELS
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest, latest_manifest

log = logging.getLogger(__name__)
PARTED = "parted"
FEWEST = 50
"""Persons with attributes from which on there is something to learn and to compare."""


def link_persons(tables: TenantTables, rules: LinkageRules, *, anew: bool = False) -> dict[str, Any]:
    """Replaces batch/link_candidates; returns the figures of the run. ``anew``: learn again even if there is a model for these attributes.
    NothingToDo when the linkage is off, nothing is published, or too few persons say anything of themselves."""
    if not rules.enabled:
        raise NothingToDo("linkage is off; declare attributes and set enabled in the section linkage of identity.yml")
    manifest = latest_manifest(tables)
    if manifest is None:
        raise NothingToDo("no batch version is published yet; run `python -m jobs.build_batch` first")
    persons = read_persons(tables, manifest, rules.columns)
    if len(persons.records) < FEWEST:
        raise NothingToDo(f"{len(persons.records)} persons have two attributes or more; the linkage needs {FEWEST}")
    rows = comparable(persons.records, rules.kinds)
    model = None if anew else _frozen(tables, rules)
    is_trained = model is None
    if model is None:
        model = train(rows, rules.kinds)
        _keep(tables, model, manifest, persons=len(rows))
    found = link(rows, model, accept=rules.accept, review=rules.review, limits=persons.limits)
    candidates = _rows(found, persons, model, manifest, rules.accept)
    tables.replace(LINK_CANDIDATES, candidates)
    verdicts = {entry["values"]: entry["counts"] for entry in pc.value_counts(candidates["verdict"]).to_pylist()}
    return {
        "persons": len(rows), "pairs_compared": found.candidates, "blocking_recall": round(found.blocking_recall, 4), **verdicts,
        "model_version": model.version, "trained": is_trained, "manifest_id": manifest.manifest_id,
    }  # fmt: skip


def _frozen(tables: TenantTables, rules: LinkageRules) -> Model | None:
    """The newest model for these attributes."""
    rows = tables.read(LINK_MODELS, where=pc.field("attributes") == _attributes(rules.kinds)).sort_by("trained_at")
    return Model.from_json(rows["model"][-1].as_py()) if len(rows) else None


def _keep(tables: TenantTables, model: Model, manifest: Manifest, *, persons: int) -> None:
    row = {
        "model_version": model.version, "trained_at": datetime.now(UTC), "manifest_id": manifest.manifest_id, "persons": persons,
        "attributes": _attributes(model.kinds), "model": model.to_json(),
    }  # fmt: skip
    tables.add(LINK_MODELS, pa.Table.from_pylist([row], schema=LINK_MODEL))


def _attributes(kinds: dict[str, str]) -> str:
    return json.dumps(kinds)


def _rows(found: Linked, persons: Persons, model: Model, manifest: Manifest, accept: float) -> pa.Table:
    """Rows of tables.LINK_CANDIDATE, by node. Records are sorted by node, so that the left one is ``a``."""
    nodes, names = persons.records[ID].to_pylist(), list(model.kinds)
    labels = [model.labels[name] for name in names]
    now, identity, rows = datetime.now(UTC), manifest.definitions.identity, []
    for at in np.lexsort((found.pairs.right, found.pairs.left)).tolist():
        a, b = nodes[found.pairs.left[at]], nodes[found.pairs.right[at]]
        evidence = {name: of[level] for name, of, level in zip(names, labels, found.pairs.levels[at].tolist(), strict=True)}
        limit = (*persons.namespaces, PARTED)[found.broken[at]] if found.broken[at] >= 0 else None
        probability, verdict = float(found.probability[at]), found.verdict[at]
        rows.append(
            {
                "a": a, "b": b, "person_a": person_id(a), "person_b": person_id(b), "probability": probability, "verdict": verdict,
                "reason": _reason(identity, limit, verdict, is_probable=probability >= accept), "evidence": json.dumps(evidence),
                "model_version": model.version, "manifest_id": manifest.manifest_id, "scored_at": now,
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=LINK_CANDIDATE)


def _reason(identity: IdentityRules, limit: str | None, verdict: str, *, is_probable: bool) -> str | None:
    if limit == PARTED:
        return limit
    if limit is not None:
        return "unique" if identity.namespaces[limit].unique else "limit"
    if verdict == UNDECIDED:
        return "crowd"
    return "bridge" if verdict == REVIEW and is_probable else None
