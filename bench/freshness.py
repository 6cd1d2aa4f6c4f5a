"""Freshness: from the collector's acknowledgement until the profile API shows the event, median at 500 events/s, ÷ the trigger of a stock stream.

The stock stream is what anyone would write: Spark's defaults, Kafka → from_json → one Delta append, under the same load. bench/run.py calls ``measure``.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

from kafka import KafkaProducer

from bench.speed import message
from millrace.local.broker import Broker
from millrace.topics import ensure_topic

MUST, AIM = 0.6, 0.4
RATE, WARM_S, MEASURED_S = 500, 20, 40
TREE = Path(__file__).resolve().parents[1]


def measure() -> dict[str, Any]:
    """Medians in milliseconds; the runs are the single waits."""
    waits = visible_after()
    triggers = stock_triggers()
    value, baseline = statistics.median(waits), statistics.median(triggers)
    return {"ratio": value / baseline, "value": value, "baseline": baseline, "must": MUST, "aim": AIM, "runs": [round(wait, 1) for wait in waits]}


def visible_after() -> list[float]:
    """Milliseconds from the 200 of the collector to the first profile answer that shows the event, of one probe every half second under load."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "jobs.run_local", "--root", root, "--collector", "127.0.0.1:0", "--api", "127.0.0.1:0", "--batch-every", "1h"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TREE, text=True) as system:
            try:
                parts = json.loads(system.stdout.readline())
                stop = threading.Event()
                load = threading.Thread(target=_post_steadily, args=(parts, stop))
                load.start()
                time.sleep(WARM_S)
                ends = time.monotonic() + MEASURED_S
                waits = []
                while time.monotonic() < ends:
                    waits.append(_probe(parts, f"probe-{len(waits)}"))
                    time.sleep(0.5)
                stop.set()
                load.join()
                return waits
            finally:
                system.terminate()


def stock_triggers() -> list[float]:
    """Trigger durations in milliseconds of a stock Kafka → Delta append at the same load, after the same warm-up; in a process of its own with Spark's defaults."""
    with tempfile.TemporaryDirectory() as root, Broker(root) as broker:
        topic = ensure_topic(broker.bootstrap, "stock")
        stop = threading.Event()
        load = threading.Thread(target=_produce_steadily, args=(broker.bootstrap, topic, stop))
        load.start()
        try:
            command = [sys.executable, "-m", "bench.stock_append", broker.bootstrap, topic, root, str(WARM_S + MEASURED_S), str(WARM_S)]
            done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=True)
        finally:
            stop.set()
            load.join()
        return json.loads(done.stdout.splitlines()[-1])


def _post_steadily(parts: dict[str, str], stop: threading.Event) -> None:
    """500 events a second in batches of 20 over the collector."""
    dice, number, started = random.Random(3), 0, time.monotonic()
    while not stop.is_set():
        batch = [message(dice, number + n) for n in range(20)]
        _call(parts["collector"] + "/v1/batch", {"batch": batch}, _basic(parts["write_key"]))
        number += 20
        time.sleep(max(0.0, started + number / RATE - time.monotonic()))


def _produce_steadily(bootstrap: str, topic: str, stop: threading.Event) -> None:
    dice, number, started = random.Random(3), 0, time.monotonic()
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    while not stop.is_set():
        for n in range(20):
            producer.send(topic, value=json.dumps(message(dice, number + n)).encode())
        producer.flush()
        number += 20
        time.sleep(max(0.0, started + number / RATE - time.monotonic()))
    producer.close()


def _probe(parts: dict[str, str], user: str) -> float:
    event = {"userId": user, "event": "Order Completed", "properties": {"revenue": 1}}
    _call(parts["collector"] + "/v1/track", event, _basic(parts["write_key"]))
    acknowledged = time.monotonic()
    while _call(f"{parts['api']}/v1/profiles/user_id:{user}", None, f"Bearer {parts['read_key']}") != 200:
        time.sleep(0.005)
    return (time.monotonic() - acknowledged) * 1000


def _basic(key: str) -> str:
    return "Basic " + b64encode(f"{key}:".encode()).decode()


def _call(url: str, body: dict[str, Any] | None, authorization: str, *, timeout_s: float = 30) -> int:
    request = urllib.request.Request(
        url, data=json.dumps(body).encode() if body is not None else None, headers={"Authorization": authorization, "Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
