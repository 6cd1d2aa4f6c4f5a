"""Runs all of Millrace on this machine, broker included, until SIGINT or SIGTERM. Prints one JSON line on stdout when everything answers."""

import argparse
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

from jobs import job, log_to_stderr
from millrace.config import PROJECT, add_options, configuration_of
from millrace.definitions import load_definitions
from millrace.keys import load_or_create_keys
from millrace.local.one_system import only_system
from millrace.local.processes import exit_on_signals
from millrace.local.stack import choose_addresses, local_parts
from millrace.local.supervisor import Supervisor
from millrace.spans import span_text

DIFFERENCES = PROJECT / "conf" / "local.yml"


@job(spark=True)
def main(argv: list[str] | None = None) -> None:
    """0 after a signal, 2 with one sentence when a part cannot start."""
    parser = argparse.ArgumentParser(prog="python -m jobs.run_local", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions", collector="collector.listen", api="api.listen", batch_every="batch.every")
    options = parser.parse_args(argv)
    log_to_stderr(kafka=logging.CRITICAL)
    exit_on_signals()
    configuration = configuration_of(options, file=DIFFERENCES)
    configuration.export(os.environ)
    settings = configuration.settings
    load_definitions(settings.definitions)
    keys = load_or_create_keys(settings.root, settings.tenant)
    addresses = choose_addresses(collector=settings.collector.listen, api=settings.api.listen, kafka=settings.kafka.bootstrap)
    root, every = Path(settings.root), span_text(settings.batch.every)
    parts = local_parts(root, settings.tenant, definitions=settings.definitions, batch_every=every, addresses=addresses)
    with only_system(root) as lock, Supervisor(parts, logs=root / settings.tenant / "logs", inherits=[lock]) as supervisor:
        supervisor.start()
        listening = {"collector": f"http://{addresses.collector}", "api": f"http://{addresses.api}", "kafka": addresses.kafka}
        shown = {name: key for name, key in asdict(keys).items() if name != "token_key"}
        print(json.dumps({"ready": True, **listening, **shown}), flush=True)
        supervisor.watch()


if __name__ == "__main__":
    sys.exit(main())
