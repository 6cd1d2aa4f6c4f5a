"""Runs the local Kafka broker until SIGINT or SIGTERM. Prints one JSON line on stdout when it is ready."""

import argparse
import json
import sys

from jobs import job
from millrace.config import add_options, settings_of
from millrace.local.broker import Broker
from millrace.local.processes import exit_on_signals, split_address


@job(spark=True)
def main(argv: list[str] | None = None) -> int:
    """0 after a signal, 1 when the broker ends by itself, 2 when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m jobs.run_broker", description=__doc__)
    add_options(parser, root="root", kafka="kafka.bootstrap")
    options = parser.parse_args(argv)
    exit_on_signals()
    settings = settings_of(options)
    with Broker(settings.root, *split_address(settings.kafka.bootstrap)) as broker:
        print(json.dumps({"ready": True, "kafka": broker.bootstrap}), flush=True)
        code = broker.wait()
        print(f"the broker ended by itself with exit code {code}; see {broker.log}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
