"""Proposes a tracking plan from the events in the log, one file an event: ``python -m jobs.infer_plan --root R --tenant T --out DIR``. Read them before you keep them."""

import argparse
import json
import sys
from pathlib import Path

import pyarrow.compute as pc

from jobs import job
from millrace.config import add_options, settings_of
from millrace.errors import NothingToDo
from millrace.tables.catalogue import EVENTS
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger
from millrace.tracking_plan.inference import file_names, proposed, readable


@job()
def main(argv: list[str] | None = None) -> None:
    """0 with one file an event, 2 wrong configuration, 4 an empty log."""
    parser = argparse.ArgumentParser(prog="python -m jobs.infer_plan", description=__doc__)
    add_options(parser, root="root", tenant="tenant")
    parser.add_argument("--out", type=Path, default=Path("tracking_plan"), help="folder for the proposals (default: tracking_plan)")
    parser.add_argument("--source", help="events of this source only")
    parser.add_argument("--events", type=int, default=100_000, help="newest events that are looked at (default: 100000)")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    where = (pc.field("epoch") <= read_ledger(tables).head) & (True if options.source is None else pc.field("source") == options.source)
    rows = tables.read(EVENTS, columns=["epoch", "payload"], where=where & pc.field("payload").is_valid()).sort_by([("epoch", "descending")])
    if not len(rows):
        raise NothingToDo(f"{EVENTS.name} has no event{f' of {options.source}' if options.source else ''} yet: nothing to propose from")
    plans = proposed(readable(rows["payload"].slice(0, options.events).to_pylist()))
    options.out.mkdir(parents=True, exist_ok=True)
    for name, plan in zip(file_names(plans), plans.values(), strict=True):
        path = options.out / name
        path.write_text(json.dumps(plan, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path}: {plan['description']}")


if __name__ == "__main__":
    sys.exit(main())
