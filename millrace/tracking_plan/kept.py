"""The record of tracking plans that epochs were judged by (log/plans). The speed layer writes it before its first epoch under a plan; who judges again reads it."""

from datetime import UTC, datetime

import pyarrow as pa

from millrace.definitions import Definitions
from millrace.errors import ConfigurationError
from millrace.tables.catalogue import PLANS
from millrace.tables.delta import TenantTables
from millrace.tracking_plan.plan import changed_in_place


def record_plan(tables: TenantTables, definitions: Definitions) -> None:
    """Makes the plan findable by its hash. ConfigurationError when a version that is in use would break what was accepted under it."""
    if definitions.plan_hash is None:
        return
    known = tables.read(PLANS).sort_by("recorded_at").to_pylist()
    if known and (problems := list(changed_in_place(Definitions.from_json(known[-1]["definitions"]).tracking_plan, definitions.tracking_plan))):
        raise ConfigurationError(problems)
    if not known or known[-1]["plan_hash"] != definitions.plan_hash:
        row = {"plan_hash": definitions.plan_hash, "recorded_at": datetime.now(UTC), "definitions": _judging(definitions).to_json()}
        tables.add(PLANS, pa.Table.from_pylist([row], schema=PLANS.schema))


def plan_of(tables: TenantTables, plan_hash: str) -> Definitions:
    """Plan and sources of that hash."""
    for row in tables.read(PLANS).to_pylist():
        if row["plan_hash"] == plan_hash:
            return Definitions.from_json(row["definitions"])
    raise ConfigurationError(f"{PLANS.name} has no plan {plan_hash}; restore the table from a backup")


def _judging(definitions: Definitions) -> Definitions:
    """What verdicts depend on."""
    return Definitions(views={}, sources=definitions.sources, tracking_plan=definitions.tracking_plan)
