"""Verdicts on a column of records: those the collector has written on them where they are of the plan in force, otherwise judged here. standard.py calls it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.events.messages import Messages
from millrace.tables.catalogue import VIOLATIONS
from millrace.tracking_plan.verdicts import Judge, Violation
from millrace.traits.states import State

NOT_A_NUMBER = "not_a_number"
"""Rule of a value that a view wants as a number and that is none: it counts as absent, and the row says so."""
Verdicts = dict[int, tuple[Violation, ...]]
"""Violations of the rows that have any."""


@dataclass(frozen=True)
class PlanRules:
    """A tracking plan and the sources whose violating records go to quarantine."""

    judge: Judge
    refusing: frozenset[str]

    @classmethod
    def of(cls, definitions: Definitions) -> "PlanRules | None":
        """None without a plan: then nothing is judged, and nothing of it costs."""
        if definitions.plan_hash is None:
            return None
        refusing = frozenset(name for name, source in definitions.sources.items() if source.mode != "flag")
        return cls(Judge(definitions.tracking_plan, definitions.plan_hash), refusing)

    def verdicts(self, records: pa.Table, kind: pa.Array, name: pa.Array, accepted: np.ndarray) -> Verdicts:
        """Of the accepted rows of ``records`` (columns payload and, where they may be stamped, stamp)."""
        doubtful = accepted
        if "stamp" in records.column_names:
            clean = pc.equal(records["stamp"], self.judge.stamp(()).decode()).fill_null(False)
            doubtful = accepted & ~clean.to_numpy()
        rows = np.flatnonzero(doubtful)
        if not len(rows):
            return {}
        at = pa.array(rows)
        stamps = records["stamp"].take(at).to_pylist() if "stamp" in records.column_names else [None] * len(rows)
        columns = (rows.tolist(), stamps, records["payload"].take(at).to_pylist(), kind.take(at).to_pylist(), name.take(at).to_pylist())
        found = ((row, self._verdict(*rest)) for row, *rest in zip(*columns, strict=True))
        return {row: verdict for row, verdict in found if verdict}

    def _verdict(self, stamp: str | None, payload: bytes, kind: str | None, name: str | None) -> tuple[Violation, ...]:
        told = None if stamp is None else self.judge.stamped(stamp)
        return self.judge.violations(payload, kind, name) if told is None else told

    def refused(self, verdicts: Verdicts, sources: pa.ChunkedArray) -> list[int]:
        """Rows that go to quarantine: a source that blocks has refused them already, unless they came another way."""
        return [row for row in verdicts if sources[row].as_py() in self.refusing]


class WantedNumbers:
    """Which events a number is wanted of, by path: elsewhere the same path may hold anything. Of amounts that are converted also what cannot be."""

    def __init__(self, states: Iterable[State]) -> None:
        self._wanted: dict[str, list[State]] = {}
        for state in states:
            for path, value_type in state.reads:
                if value_type == "number":
                    self._wanted.setdefault(path, []).append(state)

    def verdicts(self, messages: Messages, kind: pa.Array, name: pa.Array) -> Verdicts:
        """Rows in which a wanted number is something else, or has no rate."""
        found: Verdicts = {}
        told = {path: dict.fromkeys(rows, NOT_A_NUMBER) for path, rows in messages.unusable.items()} | messages.untold
        for path, by_row in sorted(told.items()):
            for row, rule in by_row.items():
                one, other = kind[row].as_py(), name[row].as_py()
                if any((not state.events or other in state.events) and state.type in (None, one) for state in self._wanted.get(path, ())):
                    found[row] = (*found.get(row, ()), (path, rule))
        return found


def violations_column(verdicts: Mapping[int, tuple[Violation, ...]], length: int) -> pa.Array:
    """Null where a row has none."""
    rows: list[list[dict[str, str]] | None] = [None] * length
    for row, found in verdicts.items():
        rows[row] = [{"field": field, "rule": rule} for field, rule in found]
    return pa.array(rows, VIOLATIONS)
