"""Persons of the 6.5 million edges of bench/persons.py, found on Spark's executors on two cores with a heap of 2 GB: edges per second of CPU, of the JVM and the
Python workers together, from batch/edges in Delta to batch/nodes and batch/refused in Delta, proof included. ``ratio``: those ÷ the same in the driver.
bench/run.py calls ``measure``.

Starting Spark is not counted; nothing is warmed, so compiling is.
"""

import json
import subprocess
import sys
import tempfile
import time
from typing import Any

import psutil

from batch.persons import write_in_driver, write_persons
from bench.persons import TENANT, write_edges
from millrace.identity.decisions import UNDECIDED
from millrace.identity.rules import IdentityRules
from millrace.session import create_session
from millrace.settings import BatchSettings
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES
from millrace.tables.delta import TenantTables

MUST, AIM = 0.1, 0.25
EDGES_PER_CPU_SECOND, HEAP_GIB = 40_000, 3.0
"""What it has to reach besides the ratio."""
ON_EXECUTORS = BatchSettings(identity_in_driver_edges=0)


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as root:
        write_edges(root)
        found = json.loads(subprocess.run([sys.executable, "-m", "bench.persons_on_spark", root], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])
    return {"ratio": found["value"] / found["baseline"], "must": MUST, "aim": AIM, "must_value": EDGES_PER_CPU_SECOND, "must_heap_gib": HEAP_GIB, **found}


def find_persons(root: str) -> dict[str, Any]:
    """What the process of its own does."""
    tables, rules = TenantTables(root, TENANT), IdentityRules().compiled(b"bench")
    edges = tables.create(BATCH_EDGES).version()
    count = tables.create(BATCH_EDGES).count()
    spark = create_session("bench", memory="2g")
    before, started = _cpu_seconds(), time.monotonic()
    versions = write_persons(tables, rules, UNDECIDED, edges=edges, spark=spark, settings=ON_EXECUTORS)
    spent, took = _cpu_seconds() - before, time.monotonic() - started
    nodes = tables.read(BATCH_NODES, version=versions[BATCH_NODES]).sort_by("node")
    heap = spark.sparkContext._jvm.java.lang.Runtime.getRuntime().maxMemory() / 2**30
    spark.stop()
    before = _cpu_seconds()
    again = write_in_driver(tables, rules, UNDECIDED, edges=edges)
    driver = _cpu_seconds() - before
    same = nodes.equals(tables.read(BATCH_NODES, version=again[BATCH_NODES]).sort_by("node"))
    return {"edges": count, "value": round(count / spent), "baseline": round(count / driver), "cpu_seconds": round(spent, 1), "seconds_wall": round(took, 1), "heap_gib": round(heap, 2), "same": same}


def _cpu_seconds() -> float:
    """Of this process, all that it started, and what those waited for."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in processes if process.is_running())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(find_persons(sys.argv[1])) + "\n")
