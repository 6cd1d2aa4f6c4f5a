"""Identifiers seen with most others, and what becomes of them: ``python -m jobs.report_supernodes --root R --tenant T``. Reads tables only, needs no Spark."""

import argparse
import sys
import time

from rich.console import Console
from rich.table import Column, Table

from jobs import job
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.keys import read_keys
from millrace.tables.delta import TenantTables
from serving.explain.answering import SUPERNODES, Identities
from serving.explain.answers import SuperNodes
from serving.store.answers import encode_json
from serving.store.receipts import Sealer


@job()
def main(argv: list[str] | None = None) -> None:
    """0 reported, 2 wrong set-up, 3 the tables have a hole, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.report_supernodes", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="how many are listed (default 20)")
    parser.add_argument("--json", action="store_true", help="print what the API answers instead of a table")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    secret = read_keys(settings.root, settings.tenant).token_secret
    tables, definitions = TenantTables(settings.root, settings.tenant), load_definitions(settings.definitions)
    found = Identities(tables, definitions, secret, Sealer(secret)).newest((SUPERNODES, max(options.most, 1)), now=time.time_ns() // 1000)
    if options.json:
        print(encode_json(found).decode())
    elif isinstance(found, SuperNodes):
        table = Table(*(Column(name, no_wrap=True) for name in ("identifier", "value", "seen with", "of which", "joins")), box=None, pad_edge=False)
        for one in found.supernodes:
            counts = ", ".join(f"{count:,} {name}" for name, count in one.linked_by_namespace.items())
            table.add_row(one.node, one.value, f"{one.linked:,}", counts, f"nobody: {one.isolated}" if one.isolated else "as far as the rules allow")
        Console(width=160).print(table)
        print(f"isolated of all: {', '.join(f'{count:,} {reason}' for reason, count in found.isolated.items())}; as of epoch {found.receipt.head}")


if __name__ == "__main__":
    sys.exit(main())
