"""Jobs: one thin entry for each thing a person or a scheduler starts, and what they have in common: the look at the machine before anything else, errors as one
sentence and an exit code, logs on stderr. ``python -m jobs.NAME`` comes here before it imports a package that may be missing."""

import functools
import logging
import sys
from collections.abc import Callable

from millrace.errors import MillraceError, SetupError
from millrace.local.doctor import quick_check

_LOOKS_ITSELF = "jobs.doctor"
Main = Callable[[list[str] | None], int | None]


def job(*, spark: bool = False) -> Callable[[Main], Callable[..., int]]:
    """Makes the ``main`` of a job of what the job does: given the arguments, it returns the exit code, None for 0. A MillraceError becomes its sentence on stderr
    and its exit code. ``spark``: the job needs Java and the jars."""

    def of(work: Main) -> Callable[..., int]:
        @functools.wraps(work)
        def main(argv: list[str] | None = None) -> int:
            try:
                quick_check(spark=spark)
                return work(argv) or 0
            except MillraceError as error:
                print(error, file=sys.stderr)
                return error.exit_code

        return main

    return of


def log_to_stderr(**levels: int) -> None:
    """Logs from INFO on; of the named libraries only from their level on: ``log_to_stderr(kafka=logging.ERROR)``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


if "-m" in sys.orig_argv and _LOOKS_ITSELF not in sys.orig_argv and any(word.startswith("jobs.") for word in sys.orig_argv):
    try:
        quick_check(spark=False)
    except SetupError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
