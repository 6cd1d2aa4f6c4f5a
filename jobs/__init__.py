"""Jobs: one thin entry for each thing a person or a scheduler starts. ``python -m jobs.NAME`` comes here before it imports a package that may be missing."""

import sys

from millrace.errors import SetupError
from millrace.local.doctor import quick_check

_LOOKS_ITSELF = "jobs.doctor"

if "-m" in sys.orig_argv and _LOOKS_ITSELF not in sys.orig_argv and any(word.startswith("jobs.") for word in sys.orig_argv):
    try:
        quick_check(spark=False)
    except SetupError as error:
        print(error, file=sys.stderr)
        raise SystemExit(error.exit_code) from None
