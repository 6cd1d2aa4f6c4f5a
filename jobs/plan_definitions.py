"""Shows what changed traits and segments would do, and changes nothing: ``python -m jobs.plan_definitions --root R --tenant T --definitions DIR``. Needs no Spark."""

import argparse
import json
import sys
from dataclasses import asdict

from jobs import job
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.errors import CoverageError
from millrace.keys import read_keys
from serving.segments.planning import DefinitionsPlan, plan_definitions
from serving.store.store import Store


@job()
def main(argv: list[str] | None = None) -> None:
    """0 shown, 2 wrong definitions or set-up, 3 the tables cannot be answered from, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.plan_definitions", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--against", metavar="DIR", help="the definitions in force (default: those of the last publish)")
    parser.add_argument("--samples", type=int, default=5, metavar="N", help="persons shown who would enter, and who would leave, a segment (default 5)")
    parser.add_argument("--json", action="store_true", help="print the plan for programs")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    after, before = load_definitions(settings.definitions), load_definitions(options.against) if options.against else None
    store = Store(settings.root, settings.tenant, before or after, secret=read_keys(settings.root, settings.tenant).token_secret, settings=settings.api).start()
    try:
        if not store.wait_ready(settings.api.open_timeout):
            raise CoverageError(f"nothing can be answered from the tables: {store.status().problem or 'they took too long to open'}")
        plan = plan_definitions(store, after, before=before, samples=max(options.samples, 0))
    finally:
        store.close()
    print(json.dumps(asdict(plan)) if options.json else "\n".join(_lines(plan)))


def _lines(plan: DefinitionsPlan) -> list[str]:
    lines = [f"as of epoch {plan.head}, compared with {f'manifest {plan.manifest_id}' if plan.manifest_id else 'nothing published'}"]
    lines += [f"source {name}: its term was {was or 'none'} and is {now or 'none'}" for name, (was, now) in plan.terms.items()]
    lines += [f"trait {one.name}: {one.change}{_named('fills back', one.fills_back)}{_named('used by', one.used_by)}" for one in plan.traits]
    for one in plan.segments:
        moves = f"{one.entering:,} enter, {one.leaving:,} leave, {one.staying:,} stay, of {plan.persons:,}"
        moves = f"cannot be counted before a publish has {', '.join(one.waits_for)}" if one.waits_for else moves
        lines.append(f"segment {one.name}: {one.change}; {moves}{_named('used by', one.used_by)}")
        lines += [f"  {kind}: {', '.join(people)}" for kind, people in one.samples.items() if people]
    lines.append(f"the next build reads {plan.log_rows:,} rows of the log and fills back everything that is new" if plan.log_rows else "nothing has to be filled back")
    if plan.identity:
        lines.append("the rules of identity change too: python -m jobs.plan_identity shows whom they would merge and split")
    return lines


def _named(what: str, names: list[str]) -> str:
    return f"; {what} {', '.join(names)}" if names else ""


if __name__ == "__main__":
    sys.exit(main())
