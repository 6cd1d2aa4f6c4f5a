"""Answers about people over HTTP, batch and speed merged at read, without a JVM: ``python -m jobs.serve_profiles --root R --tenant T --listen H:P``."""

import argparse
import json
import logging
import sys
from pathlib import Path

from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.errors import MillraceError
from serving.api.server import serve_profiles


def main(argv: list[str] | None = None) -> int:
    """0 after an orderly end (SIGTERM, SIGINT), 2 when it cannot start. One JSON line on stdout says where it listens."""
    parser = argparse.ArgumentParser(prog="python -m jobs.serve_profiles", description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the tenants")
    parser.add_argument("--tenant", default="default", help="default: %(default)s")
    parser.add_argument("--definitions", type=Path, default=DEFAULT_DIRECTORY, help="folder with views.yml (default: conf/tenants/default)")
    parser.add_argument("--listen", default="127.0.0.1:8081", metavar="HOST:PORT", help="port 0 for any free one (default: %(default)s)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        definitions = load_definitions(options.definitions)
        announce = lambda url: print(json.dumps({"ready": True, "api": url}), flush=True)  # noqa: E731
        serve_profiles(options.root, options.tenant, definitions, listen=options.listen, announce=announce)
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
