"""``python -m bench.run --json FILE [--only NAME]``: every benchmark as a ratio to a baseline of the same run, with the machine's load beside it.

Writes ``{name: {ratio, baseline, value, must, aim, runs, …}}`` and prints one line a benchmark. Exit 0 also when a figure is missed: a benchmark reports, tests judge.
"""

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

NAMES = {
    "speed": ("speed path events/s ÷ Kafka → noop with the same parse", "higher"),
    "standardising": ("events per CPU second of standardising ÷ Spark's from_json of the same records", "higher"),
    "freshness": ("acknowledged → visible, median ÷ trigger of a stock Kafka → Delta append", "lower"),
    "lookup": ("merged lookup p99 ÷ Redis GET over TCP p99", "lower"),
    "lookup_over_http": ("100 traits and 100 segments over HTTP at 1,000 requests/s, p99 ÷ Redis HGETALL of the finished values, p99", "lower"),
    "memberships": ("acknowledged → membership on Kafka, p95 ÷ trigger of Kafka → noop", "lower"),
    "settling": ("settling a publish after 1 % of the people changed ÷ settling everybody", "lower"),
    "rebuild": ("full batch rebuild ÷ the same aggregation by DuckDB", "lower"),
    "persons": ("persons of 6.5 million edges, Delta to Delta ÷ SciPy's connected components alone", "lower"),
    "persons_on_spark": ("edges per CPU second on Spark's executors ÷ the same in the driver", "higher"),
    "features": ("historical features of 50,000 rows, 10 of each ÷ a range join of DuckDB over the same Delta log", "lower"),
    "sightings": ("pairs/s the store takes in after the cut ÷ union-find over integers in the same Python", "higher"),
    "collector": ("collector events/s per core ÷ bare endpoint that acknowledges nothing", "higher"),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--only", choices=NAMES, action="append", help="one benchmark (may be given several times)")
    options = parser.parse_args(argv)
    figures: dict[str, dict[str, Any]] = {}
    for name in options.only or NAMES:
        meaning, better = NAMES[name]
        before, started = os.getloadavg()[0], time.monotonic()
        figure = importlib.import_module(f"bench.{name}").measure()
        figure |= {
            "meaning": meaning,
            "better": better,
            "load_before": before,
            "load_after": os.getloadavg()[0],
            "seconds": round(time.monotonic() - started, 1),
        }
        figures[name] = figure
        print(f"{name:10} ratio {figure['ratio']:.3f} (must {figure['must']}, aim {figure['aim']}, {better} is better)  {meaning}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(figures, indent=2, default=str), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
