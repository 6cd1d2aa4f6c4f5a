"""Shows the configuration that holds here, each setting with where it comes from: ``python -m jobs.show_config [--config FILE] [--set KEY=VALUE]``."""

import argparse
import sys

from millrace.config import add_options, configuration_of, reference_text
from millrace.errors import MillraceError


def main(argv: list[str] | None = None) -> int:
    """0, or 2 with everything that is wrong. What it prints is YAML and can be given back with --config."""
    parser = argparse.ArgumentParser(prog="python -m jobs.show_config", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--reference", action="store_true", help="print what conf/reference.yml should hold: every setting, its default and what it is for")
    options = parser.parse_args(argv)
    try:
        print(reference_text() if options.reference else configuration_of(options).text(), end="")
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
