"""Says whether this machine can run Millrace: each thing looked at, with ok or what mends it. Exit code 0, or 2 when something must be mended."""

import argparse
import sys

from millrace.errors import MillraceError, SetupError
from millrace.local.doctor import examine


def main(argv: list[str] | None = None) -> int:
    """Prints one line for each finding."""
    argparse.ArgumentParser(prog="python -m jobs.doctor", description=__doc__).parse_args(argv)
    mend = 0
    try:
        for finding in examine():
            mend += finding.fix is not None
            print(f"{'ok ' if finding.fix is None else 'FIX'}  {finding.subject}: {finding.found}" + (f"; {finding.fix}" if finding.fix else ""))
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("this machine can run Millrace" if not mend else f"{mend} to mend")
    return SetupError.exit_code if mend else 0


if __name__ == "__main__":
    sys.exit(main())
