"""Draws who an identifier belongs to, and why: ``python -m jobs.draw_person --root R --tenant T user_id:1 --out FILE.svg``. Reads tables only, needs no Spark."""

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from jobs import job
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.errors import ConfigurationError
from millrace.identity.nodes import node_of_key
from millrace.keys import read_keys
from millrace.tables.delta import TenantTables
from serving.explain.answering import EXPLAIN, Identities
from serving.explain.answers import Explanation
from serving.explain.drawing import draw
from serving.explain.tree import tree_of
from serving.store.receipts import Sealer


@job()
def main(argv: list[str] | None = None) -> None:
    """0 drawn, 2 wrong set-up, 3 the tables have a hole, 4 nobody has seen the identifier, 1 anything else. The terminal gets the same as a tree."""
    parser = argparse.ArgumentParser(prog="python -m jobs.draw_person", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("identifier", metavar="NAMESPACE:VALUE", help="an identifier of the person, such as user_id:1 or email:a@example.org")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.svg", help="where the picture goes")
    parser.add_argument("--edges", type=int, default=120, metavar="N", help="most edges shown, those nearest to the identifier (default 120)")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    secret = read_keys(settings.root, settings.tenant).token_secret
    node = node_of_key(options.identifier, secret)
    if node is None or options.edges < 1:
        raise ConfigurationError("found no identifier or no edges to draw; write namespace:value with user_id, email, phone or anonymous_id, and --edges from 1 on")
    tables, definitions = TenantTables(settings.root, settings.tenant), load_definitions(settings.definitions)
    found = Identities(tables, definitions, secret, Sealer(secret)).newest((EXPLAIN, options.edges), node=node, now=time.time_ns() // 1000)
    if isinstance(found, Explanation):
        _write(options.out, draw(found))
        Console(width=160).print(tree_of(found))
        print(f"{found.because}\n{options.out}")


def _write(path: Path, picture: str) -> None:
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name a file in a folder that is there") from None


if __name__ == "__main__":
    sys.exit(main())
