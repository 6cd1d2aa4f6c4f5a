"""A collector that runs: one process of jobs.collect_events, what is in its topic, and a broker that is silent for a while."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
from kafka import KafkaConsumer
from kafka.consumer.fetcher import ConsumerRecord
from kafka.structs import TopicPartition

from millrace.keys import load_or_create_keys
from millrace.local.broker import Broker

REPOSITORY = Path(__file__).resolve().parents[3]


class RunningCollector:
    """One process of jobs.collect_events; a context manager that kills what is left of it."""

    def __init__(self, root: Path, tenant: str, bootstrap: str, *options: str, crash_at: str = "") -> None:
        self.keys = load_or_create_keys(root, tenant)
        self.topic, self.bootstrap = f"{tenant}.events", bootstrap
        command = [sys.executable, "-m", "jobs.collect_events", "--root", str(root), "--tenant", tenant, "--listen", "127.0.0.1:0", "--kafka", bootstrap, *options]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, env={**os.environ, "MILLRACE_CRASH_AT": crash_at})
        line = json.loads(self.process.stdout.readline())
        assert line["ready"] is True
        self.url = line["collector"]
        self.client = httpx.Client(base_url=self.url, auth=(self.keys.write_key, ""), timeout=60)

    def __enter__(self) -> "RunningCollector":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.client.close()

    def wait_until_ready(self) -> "RunningCollector":
        eventually(lambda: self.client.get("/readyz").status_code == 200)
        return self

    def track(self, message_id: str, user: str = "anna") -> httpx.Response:
        return self.client.post("/v1/track", json={"messageId": message_id, "userId": user, "event": "x"})

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not come true within {seconds} s"
        time.sleep(0.05)


def log_of(collector: RunningCollector) -> list[ConsumerRecord]:
    """Everything in the topic, up to its end at the moment of asking."""
    consumer = KafkaConsumer(bootstrap_servers=collector.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False, consumer_timeout_ms=30_000)
    with contextlib.closing(consumer):
        partitions = [TopicPartition(collector.topic, number) for number in consumer.partitions_for_topic(collector.topic) or ()]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        records: list[ConsumerRecord] = []
        for partition in partitions:
            consumer.seek(partition, 0)
        while sum(ends.values()) > len(records):
            records.append(next(consumer))
        return records


def ids_in_log(collector: RunningCollector) -> list[str]:
    return [json.loads(record.value)["messageId"] for record in log_of(collector)]


@contextlib.contextmanager
def frozen(broker: Broker) -> Iterator[None]:
    """The broker keeps its connections and answers nothing."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)
