"""Shows what each trait of the definitions means: its states, and the SQL that gives the same over the events of a person, or of another key: ``python -m jobs.show_traits --definitions DIR``."""

import argparse
import sys
import time

from jobs import job
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.traits.lines import reads_lines
from millrace.traits.sql import trait_sql


@job()
def main(argv: list[str] | None = None) -> None:
    """0, or 2 with everything that is wrong with the definitions. Windows are those of this moment."""
    parser = argparse.ArgumentParser(prog="python -m jobs.show_traits", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    options = parser.parse_args(argv)
    definitions = load_definitions(settings_of(options).definitions)
    now = time.time_ns() // 1_000
    for view_name, view in definitions.views.items():
        of_lines = reads_lines(view.keyed)
        of_view = f"{view_name}." if view.keyed.parts else ""
        for name, trait in view.traits.items():
            print(f"{of_view}{name}: {', '.join(state.name for state in trait.states)}\n  {trait_sql(trait, now, of_lines=of_lines)}")
        for one in view.compiled:
            print(f"{of_view}{one.name}: {one.answers}\n  {view.derived[one.name].expr}")


if __name__ == "__main__":
    sys.exit(main())
