"""Shows every source of a tenant with what sources.yml says of it and its write key: ``python -m jobs.show_sources --root R --tenant T --definitions DIR``."""

import argparse
import json
import sys

from jobs import job
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.keys import read_keys


@job()
def main(argv: list[str] | None = None) -> None:
    """0, or 2 with everything that is wrong with the definitions, or when the tenant has no keys yet. One JSON line a source."""
    parser = argparse.ArgumentParser(prog="python -m jobs.show_sources", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    options = parser.parse_args(argv)
    settings = settings_of(options)
    definitions, keys = load_definitions(settings.definitions), read_keys(settings.root, settings.tenant)
    for name, key in keys.write_keys(definitions.sources).items():
        print(json.dumps({"source": name, "write_key": key, **definitions.source(name).model_dump(mode="json", exclude_none=True)}))


if __name__ == "__main__":
    sys.exit(main())
