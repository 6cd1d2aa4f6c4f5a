"""Lookup of a profile with 100 traits and 100 segments through HTTP at 1,000 requests a second, p99, ÷ a Redis HGETALL of the same finished values at the same rate.

The API is the real one, a process with one event loop, over 100,000 people of a base that is written directly and 20 epochs on top. A wait begins when a request
is due, not when it is sent, so a queue is part of it. Redis holds a hash a person with a field a trait and one with his segments. bench/run.py calls ``measure``.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil

from bench.bases import write_base
from bench.freshness import TREE
from bench.lookup import RedisClient, redis_server
from bench.lookup_tables import CUT, publish, view_rows, write_epoch
from millrace.definitions import Definitions, load_definitions
from millrace.identity.nodes import node_of_key
from millrace.keys import load_or_create_keys
from millrace.tables.catalogue import LEDGER, SPEED_EDGES_TABLE, speed_view
from millrace.tables.delta import TenantTables
from serving.segments.judges import Judges
from serving.segments.watching import Declared
from serving.store.answers import Profile, answer, encode_json
from serving.store.layout import Layout, encode
from serving.store.store import Store

MUST, AIM = 30.0, 10.0
TARGET_MS = 10.0
TENANT = "bench"
PROFILES, PATTERNS, EPOCHS, NODES_AN_EPOCH = 100_000, 2_000, 20, 2_000
RATE, WARM_S, MEASURED_S, ASKED = 1_000, 5, 20, 5_000
EVENTS = ("Order Completed", "Product Viewed", "Product Added", "Coupon Applied", "Cart Viewed", "Product Searched")


def measure() -> dict[str, Any]:
    """p99 in milliseconds; ``api_cpu_ms``: CPU of the API for a request; ``at_a_quarter``: the same waits at a quarter of the rate."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as port:
        directory = declare(Path(folder) / "definitions")
        definitions = load_definitions(directory)
        keys = load_or_create_keys(folder, TENANT)
        users = [f"user_id:u{number}" for number in range(PROFILES)]
        write_tables(TenantTables(folder, TENANT), definitions, sorted(node_of_key(user, keys.token_secret) or "" for user in users))
        asked = np.random.default_rng(2).choice(users, ASKED, replace=False).tolist()
        finished = fill_redis(folder, definitions, port, {user: node_of_key(user, keys.token_secret) or "" for user in asked})
        with served(folder, directory) as (api, process):
            head = f"Host: {api}\r\nAuthorization: Bearer {keys.read_key}\r\n\r\n"
            lookups = [(f"GET /v1/profiles/{user} HTTP/1.1\r\n{head}".encode().hex(), 0) for user in asked]
            before, to = sum(process.cpu_times()[:2]), int(api.rpartition(":")[2])
            lookup = waits(to, lookups, RATE)
            used = (sum(process.cpu_times()[:2]) - before) / (RATE * (WARM_S + MEASURED_S))
            redis, slower = waits(port, finished, RATE), waits(to, lookups, RATE // 4)
    figures = {"ratio": lookup["p99"] / redis["p99"], "value": lookup["p99"], "baseline": redis["p99"], "must": MUST, "aim": AIM, "target_ms": TARGET_MS}
    return figures | {"lookup_ms": lookup, "redis_ms": redis, "at_a_quarter": slower, "api_cpu_ms": round(used * 1000, 3), "rate": RATE, "profiles": PROFILES}


def declare(directory: Path) -> Path:
    """A hundred traits, counts, sums and extremes of six events over all time and windows, and a hundred segments of two clauses over them."""
    directory.mkdir(parents=True)
    operations: dict[str, dict[str, Any]] = {f"count_{window}": {"op": "count", "window": window} for window in ("7d", "30d", "60d", "90d")}
    operations |= {f"sum_{window}": {"op": "sum", "value": "properties.revenue", "window": window} for window in ("7d", "30d", "60d", "90d")}
    operations |= {op: {"op": op, "value": "properties.revenue"} for op in ("sum", "avg", "min", "max")}
    operations |= {"count": {"op": "count"}, "first_at": {"op": "first", "value": "event_time"}, "last_at": {"op": "last", "value": "event_time"}}
    operations |= {"last_store": {"op": "last", "value": "properties.store_id"}}
    named = {f"e{number}_{name}": {"event": event} | operation for number, event in enumerate(EVENTS) for name, operation in operations.items()}
    named |= {"events_24h": {"op": "count", "window": "24h"}, "last_type": {"op": "last", "value": "type"}}
    named |= {f"{op}_seen_at": {"op": op, "value": "event_time"} for op in ("first", "last")}
    rules = {
        f"segment_{number}": (
            f"e{number % 6}_count_30d >= {number} and e{number % 6}_sum_90d > {10 * number}" if number % 2 else f"e{number % 6}_count > {number} or e{number % 5}_max > {5 * number}"
        )
        for number in range(100)
    }
    (directory / "views.yml").write_text(json.dumps({"person": {"key": "node", "traits": named}}), encoding="utf-8")
    (directory / "segments.yml").write_text(json.dumps(rules), encoding="utf-8")
    return directory


def write_tables(tables: TenantTables, definitions: Definitions, nodes: list[str]) -> None:
    """One batch version and epochs on top, in which some of the people order something."""
    view, rng = definitions.views["person"], np.random.default_rng(11)
    layout = Layout(view)
    for table in (speed_view("person", view), SPEED_EDGES_TABLE, LEDGER):
        tables.create(table)
    write_epoch(tables, CUT, [], rng=rng, definitions=definitions)
    publish(tables, 1, {}, cut=CUT, definitions=definitions)
    patterns = [encode(slots) for slots in layout.fold(view_rows(nodes[:PATTERNS], rng, view=view)).values()]
    write_base(tables, 1, nodes, ((node, patterns[at % PATTERNS]) for at, node in enumerate(nodes)))
    for epoch in range(CUT + 1, CUT + EPOCHS + 1):
        write_epoch(tables, epoch, rng.choice(nodes, NODES_AN_EPOCH).tolist(), rng=rng, definitions=definitions)


def fill_redis(folder: str, definitions: Definitions, port: int, nodes: dict[str, str]) -> list[tuple[str, int]]:
    """The finished values of the people, a hash each; requests for them, with the size of the answer."""
    store = Store(folder, TENANT, definitions, secret=b"bench").start()
    try:
        if not store.wait_ready(300):
            raise RuntimeError(f"the store did not open: {store.status().problem}")
        memberships, requests = Judges(Declared(definitions)), []
        with RedisClient(port) as redis:
            for user, node in nodes.items():
                (pinned,) = store.pin([node])
                if pinned is None:
                    raise RuntimeError(f"{user} is not there")
                now = store.clock()
                fields = fields_of(answer(pinned, at=now, now=now, sealer=store.sealer, memberships=memberships))
                redis.hset(user.encode(), fields)
                size = sum(len(one) + len(str(len(one))) + 5 for one in fields) + len(str(len(fields))) + 3
                requests.append(((b"*2\r\n$7\r\nHGETALL\r\n$%d\r\n%b\r\n" % (len(user), user.encode())).hex(), size))
        return requests
    finally:
        store.close()


def fields_of(profile: Profile) -> list[bytes]:
    """Name and value, turn about."""
    values = {name: encode_json(trait.value) for name, trait in profile.traits.items()} | {"segments": encode_json(profile.segments)}
    return [part for name, value in values.items() for part in (name.encode(), value)]


@contextmanager
def served(folder: str, directory: Path) -> Iterator[tuple[str, psutil.Process]]:
    """``host:port`` of an API, and its process."""
    command = [sys.executable, "-m", "jobs.serve_profiles", "--root", folder, "--tenant", TENANT, "--definitions", str(directory), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=TREE, text=True) as process:
        try:
            yield urlsplit(json.loads(process.stdout.readline())["api"]).netloc, psutil.Process(process.pid)
        finally:
            process.terminate()


def waits(port: int, requests: list[tuple[str, int]], rate: int) -> dict[str, float]:
    asked = {"port": port, "rate": rate, "warm_s": WARM_S, "seconds": MEASURED_S, "requests": requests}
    done = subprocess.run([sys.executable, "-m", "bench.http_load"], input=json.dumps(asked), cwd=TREE, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
