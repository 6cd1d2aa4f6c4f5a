"""The speed layer of a tenant: ``python -m jobs.stream_events --root R --tenant T --kafka H:P``, or spark-submit. With ``--with-batch`` the batch layer shares the driver."""

import argparse
import logging
import sys
from contextlib import ExitStack

from batch.runner import BatchRunner
from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.delta import TenantTables
from millrace.errors import MillraceError
from millrace.lease import writer_lease
from millrace.local.doctor import quick_check
from millrace.local.processes import exit_on_signals
from millrace.runs import RunRecord
from millrace.session import create_session
from millrace.spans import seconds_of
from speed.driver import run_driver
from speed.stream import StreamSettings


def main(argv: list[str] | None = None) -> int:
    """0 after a signal or, with --available-now, when the topic is read; 1 when the stream failed; 2 wrong definitions or set-up; 3 tables and ledger disagree."""
    parser = argparse.ArgumentParser(prog="python -m jobs.stream_events", description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the tenants")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--kafka", required=True, help="HOST:PORT of a broker")
    parser.add_argument("--definitions", default=str(DEFAULT_DIRECTORY), help="directory with views.yml (default: conf/tenants/default)")
    parser.add_argument("--max-records", type=int, default=100_000, help="records an epoch takes at most (default %(default)s)")
    parser.add_argument("--keep-versions", type=int, default=5, help="batch versions that can be rolled back to (default %(default)s)")
    parser.add_argument("--available-now", action="store_true", help="read what the topic holds, then end")
    parser.add_argument("--with-batch", action="store_true", help="run the batch layer in the same driver")
    parser.add_argument("--batch-every", type=seconds_of, default=300, help="pause between scheduled builds: 90s, 5m, 1h; 0 for none")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("kafka", "py4j"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    exit_on_signals()
    try:
        quick_check()
        definitions, tables = load_definitions(options.definitions), TenantTables(options.root, options.tenant)
        settings = StreamSettings(max_records=options.max_records, keep_versions=options.keep_versions, available_now=options.available_now)
        with ExitStack() as leases:
            for writer in ("speed", "batch") if options.with_batch else ("speed",):
                leases.enter_context(writer_lease(options.root, options.tenant, writer))
            spark = create_session("stream_events")
            runner = BatchRunner(spark, tables, definitions, options.batch_every) if options.with_batch else None
            with RunRecord(tables, "stream_events"):
                run_driver(spark, tables, definitions, kafka=options.kafka, settings=settings, companion=runner.run if runner else None)
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
