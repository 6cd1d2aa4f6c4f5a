"""The proof before a publish: the log is whole, and at the same head the new version answers as the one that serves (law 2), over all keys.

``batch(v) ⊕ increments(cut of v, E] = batch(v+1) ⊕ states of the escaped duplicates``: what a duplicate that escaped the speed layer added is
taken into account exactly, so that nothing else can hide behind it. Anything unequal raises ProofError, and v keeps serving.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch.engines import SHOWN, Compared, Engine, Slice
from batch.parts import Part, tables_of
from millrace.definitions import Definitions
from millrace.errors import ProofError
from millrace.tables.catalogue import Table
from millrace.tables.ledger import NOTHING, Ledger
from millrace.tables.manifest import Manifest


def prove_coverage(found: Slice, ledger: Ledger, *, after: int) -> dict[str, int]:
    """Every (epoch, partition) after the cut ``after`` holds the rows the ledger says, each offset once; the epochs before it have not lost one."""
    keys = ["epoch", "topic", "partition"]
    told = ledger.rows.filter(pc.field("epoch") > after).select([*keys, "accepted", "duplicate"])
    both = told.join(found.figures, keys=keys, join_type="full outer").sort_by([(key, "ascending") for key in keys]).to_pylist()
    wrong = [sentence for row in both if (sentence := _disagreement({name: value or 0 for name, value in row.items()}))]
    before = ledger.counts(after)
    if found.history_rows != before["accepted"] + before["duplicate"]:
        wrong.append(f"epochs up to {after}: {before['accepted'] + before['duplicate']} rows in the ledger, {found.history_rows} in the log")
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ProofError(f"log/events and log/ledger disagree, nothing was published: {'; '.join(wrong[:SHOWN])}{more}; restore log/events from a backup")
    return {"log_rows": _total(found.figures, "rows"), "earlier_log_rows": found.history_rows}


def _disagreement(row: dict[str, Any]) -> str | None:
    expected = row["accepted"] + row["duplicate"]
    if (row["rows"], row["offsets"], row["flagged"]) == (expected, expected, row["duplicate"]):
        return None
    return (
        f"epoch {row['epoch']} of {row['topic']}/{row['partition']}: {expected} rows ({row['duplicate']} duplicates) in the ledger, "
        f"{row['rows']} in the log ({row['flagged']} duplicates, {row['offsets']} offsets)"
    )


def prove_invariance(
    engine: Engine, found: Slice, definitions: Definitions, *, serving: Manifest | None, ledger: Ledger, versions: dict[Table, int]
) -> dict[str, Any]:
    """Figures of the comparison of every row of every table; ProofError when one is unequal."""
    older, strange = comparable_definitions(definitions, serving=serving, ledger=ledger)
    publish = _Publish(engine, serving, ledger.head, versions)
    respelt = _respelt(definitions, serving=serving, ledger=ledger)
    has_terms = bool(definitions.terms or (serving and serving.definitions.terms))  # of strange definitions nobody knows which sources showed edges
    proof: dict[str, Any] = {"compared_with": serving.manifest_id if serving else None} | _escaped_figures(found, after=publish.served)
    jobs: list[Callable[[], _Verdict]] = []
    for table, parts in tables_of(definitions).items():
        proof[table.name] = {"rows_compared": 0, "explained": 0}
        escaped = engine.fold(found.escaped, parts, once=False) if found.escaped is not None else None
        for part in parts:
            common = None if respelt or (strange and (part.states is not None or has_terms)) else part if older is None else part.comparable_with(older)
            if common is None:
                proof[table.name].setdefault("not_compared", []).append(part.name)
            else:
                jobs.append(partial(publish.compare, common, escaped))
    verdicts = engine.side_by_side(jobs)
    _refuse([verdict for verdict in verdicts if verdict.compared.differing])
    for verdict in verdicts:
        proof[verdict.part.batch.name]["rows_compared"] += verdict.compared.rows
        proof[verdict.part.batch.name]["explained"] += verdict.explained
    return proof | ({"unpublished_definitions": sorted(strange)} if strange else {}) | ({"respelt": True} if respelt else {})


def _respelt(definitions: Definitions, *, serving: Manifest | None, ledger: Ledger) -> bool:
    """Whether what is served keeps states under nodes of another normaliser: then keys differ for a reason, and rows cannot be compared by them."""
    normaliser = definitions.identity.normaliser
    if serving is not None and serving.definitions.identity.normaliser != normaliser:
        return True
    return ledger.respelt_until(normaliser) > (serving.cut if serving else NOTHING)


@dataclass(frozen=True)
class _Verdict:
    """The comparison of a part with the escaped duplicates taken into account, and how many rows those explain."""

    part: Part
    compared: Compared
    explained: int


@dataclass(frozen=True)
class _Publish:
    """The step from the version that serves to the one just written, at head ``until``."""

    engine: Engine
    serving: Manifest | None
    until: int
    versions: dict[Table, int]

    @property
    def served(self) -> int:
        return self.serving.cut if self.serving else NOTHING

    def compare(self, part: Part, escaped: Any) -> _Verdict:
        before = [self.engine.increments(part, after=self.served, until=self.until)]
        if self.serving is not None:
            before.append(self.engine.read(part, version=self.serving.tables[part.batch.name]))
        after = [self.engine.read(part, version=self.versions[part.batch])]
        if escaped is None:
            return _Verdict(part, self.engine.differing(part, before, after), 0)
        explained = self.engine.differing(part, before, after).differing
        return _Verdict(part, self.engine.differing(part, before, [*after, self.engine.part_of(escaped, part)]), explained)


def comparable_definitions(definitions: Definitions, *, serving: Manifest | None, ledger: Ledger) -> tuple[Definitions | None, set[str]]:
    """Definitions whose states the increments have besides the new ones (None: the same), and hashes of others no manifest has: their states are unknown."""
    hashes = ledger.definitions_since(serving.cut if serving else NOTHING)
    known = {definitions.hash} | ({serving.definitions_hash} if serving else set())
    changed = serving is not None and serving.definitions_hash != definitions.hash
    return serving.definitions if serving is not None and changed else None, hashes - known


def _refuse(wrong: list[_Verdict]) -> None:
    if wrong:
        shown = "; ".join(f"{verdict.part.name}: {_named(verdict.compared.examples)}" for verdict in wrong)
        raise ProofError(
            f"the new version would answer differently in {sum(verdict.compared.differing for verdict in wrong)} rows and no escaped duplicate explains it ({shown}); "
            "nothing was published, the last version keeps serving; the increments of the epochs since its cut are damaged, or batch and speed ran different code"
        )


def _named(examples: pa.Table, most: int = 3) -> str:
    rows = examples.slice(0, most).to_pylist()
    return ", ".join(f"{' '.join(str(value) for name, value in row.items() if name != 'columns')} ({row['columns']})" for row in rows)


def _escaped_figures(found: Slice, *, after: int) -> dict[str, Any]:
    """How many rows the speed layer judged wrongly since the published cut, and where the first of them stand."""
    recent = found.figures.filter(pc.field("epoch") > after)
    where = [f"{row['topic']}/{row['partition']} offset {row['offset']} (epoch {row['epoch']})" for row in found.escaped_at]
    return {"escaped_duplicates": _total(recent, "escaped"), "missed_events": _total(recent, "missed")} | ({"escaped_at": where} if where else {})


def _total(figures: pa.Table, name: str) -> int:
    return pc.sum(figures[name]).as_py() or 0
