"""Answers about people over HTTP, batch and speed merged at read, without a JVM: ``python -m jobs.serve_profiles --root R --tenant T --listen H:P``."""

import argparse
import json
import sys

from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from serving.api.server import serve_profiles


@job()
def main(argv: list[str] | None = None) -> None:
    """0 after an orderly end (SIGTERM, SIGINT), 2 when it cannot start. One JSON line on stdout says where it listens."""
    parser = argparse.ArgumentParser(prog="python -m jobs.serve_profiles", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions", listen="api.listen")
    options = parser.parse_args(argv)
    log_to_stderr()
    settings = settings_of(options)
    definitions = load_definitions(settings.definitions)
    announce = lambda url: print(json.dumps({"ready": True, "api": url}), flush=True)  # noqa: E731
    serve_profiles(settings.root, settings.tenant, definitions, settings=settings.api, announce=announce, directory=settings.definitions)


if __name__ == "__main__":
    sys.exit(main())
