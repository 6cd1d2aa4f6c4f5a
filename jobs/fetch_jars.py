"""Fetches the locked jars of Spark and of the local Kafka broker into ``.cache/jars``; ``--update-lock`` resolves them anew and rewrites the lock."""

import argparse
import sys

from jobs import job
from millrace.local.fetch import fetch_jars, update_lock
from millrace.local.jars import jars_folder


@job()
def main(argv: list[str] | None = None) -> None:
    """0 when every locked jar is in place and has its sha256, 2 with one sentence otherwise."""
    parser = argparse.ArgumentParser(prog="python -m jobs.fetch_jars", description=__doc__)
    parser.add_argument("--update-lock", action="store_true", help="resolve the sets anew and rewrite conf/jars.lock")
    options = parser.parse_args(argv)
    if options.update_lock:
        print(f"conf/jars.lock pins {len(update_lock())} jars")
    for name, jars in fetch_jars().items():
        print(f"{len(jars)} {name} jars in {jars_folder(name)}")


if __name__ == "__main__":
    sys.exit(main())
