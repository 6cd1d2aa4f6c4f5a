"""Runs the local Kafka broker until SIGINT or SIGTERM. Prints one JSON line on stdout when it is ready."""

import argparse
import json
import sys

from millrace.errors import MillraceError
from millrace.local.broker import Broker
from millrace.local.doctor import quick_check
from millrace.local.processes import exit_on_signals, split_address


def main(argv: list[str] | None = None) -> int:
    """0 after a signal, 1 when the broker ends by itself, 2 when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m jobs.run_broker", description=__doc__)
    parser.add_argument("--root", default="data", help="folder of the data (default: data)")
    parser.add_argument("--kafka", default="127.0.0.1:9092", metavar="HOST:PORT", help="where to listen; port 0 takes any free one (default: 127.0.0.1:9092)")
    options = parser.parse_args(argv)
    exit_on_signals()
    try:
        quick_check()
        with Broker(options.root, *split_address(options.kafka)) as broker:
            print(json.dumps({"ready": True, "kafka": broker.bootstrap}), flush=True)
            code = broker.wait()
            print(f"the broker ended by itself with exit code {code}; see {broker.log}", file=sys.stderr)
            return 1
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
