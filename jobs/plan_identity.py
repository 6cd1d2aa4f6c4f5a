"""Shows what changed rules of identity would do, and changes nothing: ``python -m jobs.plan_identity --root R --tenant T --definitions DIR``. Needs no Spark."""

import argparse
import json
import sys
from dataclasses import asdict

from batch.plan import Plan, plan_identity
from jobs import job
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.tables.delta import TenantTables


@job()
def main(argv: list[str] | None = None) -> None:
    """0 shown, 2 wrong definitions or set-up, 3 the tables have a hole, 4 no batch version to compare with, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.plan_identity", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--samples", type=int, default=5, metavar="N", help="persons shown for each kind of change (default 5)")
    parser.add_argument("--json", action="store_true", help="print the plan for programs")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    plan = plan_identity(tables, load_definitions(settings.definitions).identity, samples=max(options.samples, 0))
    print(json.dumps(asdict(plan)) if options.json else "\n".join(_lines(plan)))


def _lines(plan: Plan) -> list[str]:
    counts = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in plan.counts.items() if count) or "nobody moves"
    refused = ", ".join(f"{reason} {count:,}" for reason, count in plan.refused.items()) or "none"
    lines = [
        f"as of epoch {plan.head}, compared with manifest {plan.manifest_id}: {plan.persons_before:,} persons now, {plan.persons_after:,} under these rules",
        f"changes: {counts}", f"edges refused under these rules: {refused}",
    ]  # fmt: skip
    for kind, persons in plan.samples.items():
        for person in persons:
            identifiers = ", ".join(f"{one['namespace']} {one['value'] or '•••'} ({one['person']})" for one in person["identifiers"][:8])
            rest = f" and {len(person['identifiers']) - 8:,} more" if len(person["identifiers"]) > 8 else ""
            lines.append(f"  {kind} {person['person']}: {identifiers}{rest}")
    if any(plan.counts.values()):
        lines.append("in brackets: the person before a merge, after any other change; put these definitions where the stream reads them to apply them, the next build is a full one")
    return lines


if __name__ == "__main__":
    sys.exit(main())
