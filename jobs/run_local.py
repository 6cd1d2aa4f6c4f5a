"""Runs all of Millrace on this machine, broker included, until SIGINT or SIGTERM. Prints one JSON line on stdout when everything answers."""

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

from millrace.definitions import load_definitions
from millrace.errors import MillraceError
from millrace.keys import load_or_create_keys
from millrace.local.doctor import quick_check
from millrace.local.processes import exit_on_signals
from millrace.local.stack import choose_addresses, local_parts
from millrace.local.supervisor import Supervisor


def main(argv: list[str] | None = None) -> int:
    """0 after a signal, 2 with one sentence when a part cannot start."""
    parser = argparse.ArgumentParser(prog="python -m jobs.run_local", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data"), help="folder of the data (default: data)")
    parser.add_argument("--tenant", default="default", help="default: default")
    parser.add_argument("--definitions", type=Path, default=Path("conf/tenants/default"), help="default: conf/tenants/default")
    parser.add_argument("--collector", default="127.0.0.1:8080", metavar="HOST:PORT", help="where events come in; port 0: any free one (default: %(default)s)")
    parser.add_argument("--api", default="127.0.0.1:8081", metavar="HOST:PORT", help="where answers come out; port 0: any free one (default: %(default)s)")
    parser.add_argument("--batch-every", default="5m", help="pause between batches, such as 90s, 5m or 1h (default: %(default)s)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    exit_on_signals()
    try:
        quick_check()
        load_definitions(options.definitions)
        keys = load_or_create_keys(options.root, options.tenant)
        addresses = choose_addresses(collector=options.collector, api=options.api)
        parts = local_parts(options.root, options.tenant, definitions=options.definitions, batch_every=options.batch_every, addresses=addresses)
        with Supervisor(parts, logs=options.root / options.tenant / "logs") as supervisor:
            supervisor.start()
            listening = {"collector": f"http://{addresses.collector}", "api": f"http://{addresses.api}", "kafka": addresses.kafka}
            shown = {name: key for name, key in asdict(keys).items() if name != "token_key"}
            print(json.dumps({"ready": True, **listening, **shown}), flush=True)
            supervisor.watch()
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
