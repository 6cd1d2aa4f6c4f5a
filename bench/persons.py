"""Persons of 6.5 million edges, from batch/edges in Delta to batch/nodes and batch/refused in Delta through the batch layer's own code, ÷ SciPy's
connected_components alone on the same edges as integers. Also edges per second and the peak memory of the process. bench/run.py calls ``measure``.

The edges are those of 1.7 million people with shared devices and junk (bench/identity_histories.py), in random order. A process of its own finds the
persons, so that its memory is what finding them takes; the first round, which warms it, is not counted.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from batch.persons import write_in_driver
from bench.identity_histories import Troubles, make_history, random_nodes, standard_events
from millrace.identity.decisions import UNDECIDED
from millrace.identity.edges import edges_of
from millrace.identity.node_codes import codes_of
from millrace.identity.rules import IdentityRules
from millrace.tables.catalogue import BATCH_EDGES
from millrace.tables.delta import TenantTables

MUST, AIM = 12.0, 8.0
EDGES_PER_SECOND, PEAK_GIB = 400_000, 4.0
"""What it has to reach besides the ratio."""
TENANT, PARTS, PEOPLE, ROUNDS = "bench", 17, 100_000, 3
TROUBLES = Troubles(shared_devices=0.01, junk=0.001)
HINTS = 5_000


def measure() -> dict[str, Any]:
    """Median of the rounds' ratios; ``value`` and ``baseline`` in seconds."""
    with tempfile.TemporaryDirectory() as root:
        write_edges(root)
        done = subprocess.run([sys.executable, "-m", "bench.persons", root], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    ratios = [value / baseline for value, baseline in found["runs"]]
    middle = sorted(range(ROUNDS), key=lambda n: ratios[n])[ROUNDS // 2]
    value, baseline = found["runs"][middle]
    return {
        "ratio": statistics.median(ratios), "value": value, "baseline": baseline, "must": MUST, "aim": AIM, **found, "edges_per_second": round(found["edges"] / value),
        "must_edges_per_second": EDGES_PER_SECOND, "must_peak_gib": PEAK_GIB,
    }  # fmt: skip


def write_edges(root: str) -> None:
    """batch/edges as a build leaves it."""
    rng = np.random.default_rng(1)
    edges = pa.concat_tables([_edges(seed, rng) for seed in range(PARTS)])
    TenantTables(root, TENANT).replace(BATCH_EDGES, edges.take(pa.array(rng.permutation(len(edges)))))


def _edges(seed: int, rng: np.random.Generator) -> pa.Table:
    """Of people nobody else knows, with hints as short and as repetitive as real ones."""
    history = make_history(PEOPLE, seed=seed, troubles=TROUBLES, repeats=1)
    edges = edges_of(standard_events(history, random_nodes(history, seed=1_000 + seed)))
    hints = pa.array([f"{number:02x}•••{number % 97:02d}" for number in range(HINTS)])
    for name in ("hint_a", "hint_b"):
        edges = edges.set_column(edges.schema.get_field_index(name), name, hints.take(pa.array(rng.integers(0, HINTS, len(edges)))))
    return edges


def find_persons(root: str) -> dict[str, Any]:
    """What the process of its own does."""
    tables, rules = TenantTables(root, TENANT), IdentityRules().compiled(b"bench")
    version, runs = tables.create(BATCH_EDGES).version(), []
    for _ in range(ROUNDS + 1):
        started = time.monotonic()
        write_in_driver(tables, rules, UNDECIDED, edges=version)
        runs.append(time.monotonic() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    ends = tables.read(BATCH_EDGES, columns=["a", "b"], version=version)
    names, codes = codes_of(pa.chunked_array([*ends["a"].chunks, *ends["b"].chunks]))
    return {"edges": len(ends), "nodes": len(names), "peak_gib": round(peak, 2), "runs": [(run, _components_alone(codes, len(names))) for run in runs[1:]]}


def _components_alone(codes: np.ndarray, nodes: int) -> float:
    left, right = np.split(codes, 2)
    started = time.monotonic()
    connected_components(coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(nodes, nodes)), directed=False)
    return time.monotonic() - started


if __name__ == "__main__":
    sys.stdout.write(json.dumps(find_persons(sys.argv[1])) + "\n")
