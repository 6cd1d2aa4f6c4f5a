"""Shows the configuration that holds here, each setting with where it comes from: ``python -m jobs.show_config [--config FILE] [--set KEY=VALUE]``."""

import argparse
import sys

from jobs import job
from millrace.config import add_options, configuration_of, reference_text


@job()
def main(argv: list[str] | None = None) -> None:
    """0, or 2 with everything that is wrong. What it prints is YAML and can be given back with --config."""
    parser = argparse.ArgumentParser(prog="python -m jobs.show_config", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--reference", action="store_true", help="print what conf/reference.yml should hold: every setting, its default and what it is for")
    options = parser.parse_args(argv)
    print(reference_text() if options.reference else configuration_of(options).text(), end="")


if __name__ == "__main__":
    sys.exit(main())
