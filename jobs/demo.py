"""Runs a complete story on real grocery purchases: events, answers, batches, and every answer compared with a recomputation. See millrace/demo/."""

import argparse
import signal
import sys
from pathlib import Path

from rich.console import Console

from jobs import job
from millrace.demo.run import DEFAULT_ROOT, DEFAULT_WEEKS, run_demo


@job()
def main(argv: list[str] | None = None) -> int:
    """0 when every value is equal (or there is nothing to do), 1 when something failed, 2 for a wrong option or machine, 3 when values differ."""
    parser = argparse.ArgumentParser(prog="python -m jobs.demo", description=__doc__)
    parser.add_argument("--weeks", type=int, default=DEFAULT_WEEKS, help=f"how many of the 53 weeks of the data (default: {DEFAULT_WEEKS})")
    parser.add_argument("--root", type=Path, default=DEFAULT_ROOT, help=f"folder the demo works in and may wipe (default: {DEFAULT_ROOT})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found as JSON")
    parser.add_argument("--fresh", action="store_true", help="start over: empty the demo's folder first")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = run_demo(options.root, weeks=options.weeks, fresh=options.fresh, json_file=options.json, console=Console())
    except KeyboardInterrupt:
        print("interrupted; the same command continues where it was", file=sys.stderr)
        return 1
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
