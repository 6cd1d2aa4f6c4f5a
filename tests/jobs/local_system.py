"""``jobs.run_local`` as a user runs it, and a sender that behaves as the client libraries of Segment do. tests/jobs/test_run_local.py uses both."""

import itertools
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
from kafka import KafkaConsumer, TopicPartition

PATIENCE_S = 120
LOST_FOR = 100
"""Messages between the two times an old one is sent."""
PARTS = {
    "broker": "jobs.run_broker", "java of the broker": "kafka.Kafka", "collector": "jobs.collect_events", "driver": "jobs.stream_events",
    "java of the driver": "org.apache.spark.deploy.SparkSubmit", "standardising of the driver": "speed.standardizing", "api": "jobs.serve_profiles",
    "segments": "jobs.follow_segments", "health": "jobs.watch_data_health",
}  # fmt: skip
"""What tells each process from the others: a word of its command line."""


def until(what: str, condition: Callable[[], object]) -> None:
    """Returns when the condition holds; fails with ``what`` did not come when it takes too long."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.1)


def is_gone(process: psutil.Process) -> bool:
    """Ended, though nobody may have asked for its exit code yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class LocalSystem:
    """A running system on free ports. ``said`` is its stderr."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root, self.log = root, root.with_name(f"{root.name}.log")
        argv = [sys.executable, "-m", "jobs.run_local", "--root", str(root), "--tenant", "shop", "--collector", "127.0.0.1:0", "--api", "127.0.0.1:0", *options]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True)

    def wait_until_ready(self) -> None:
        line = self.process.stdout.readline()
        assert line, f"it ended with {self.process.wait()}:\n{self.said()}"
        self.ready: dict[str, Any] = json.loads(line)
        self.api = httpx.Client(base_url=self.ready["api"], headers={"Authorization": f"Bearer {self.ready['admin_key']}"}, timeout=PATIENCE_S)

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def processes(self) -> dict[str, psutil.Process]:
        """Its parts by name, those that are alive."""
        found: dict[str, psutil.Process] = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # a zombie has no command line
                words = child.cmdline()
                found |= {name: child for name, word in PARTS.items() if word in words}
        return found

    def kill(self, part: str) -> None:
        """SIGKILL; returns when another process has taken the part's place."""
        victim = self.processes()[part]
        victim.kill()
        until(f"{part} is there again", lambda: self.processes().get(part, victim) != victim)

    def is_ready(self) -> bool:
        """Whether collector and API say so."""
        with suppress(httpx.HTTPError):
            return all(httpx.get(f"{self.ready[part]}/readyz", timeout=5).status_code == 200 for part in ("collector", "api"))
        return False

    def profile(self, user: str) -> dict[str, Any]:
        answer = self.api.get(f"/v1/profiles/user_id:{user}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def trait(self, user: str, name: str) -> Any:
        return self.profile(user)["traits"].get(name, {}).get("value")

    def build(self) -> dict[str, Any]:
        answer = self.api.post("/v1/batches", json={"full": False})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait_until_read(self) -> None:
        """Until answers hold every record of the topic."""
        consumer = KafkaConsumer(bootstrap_servers=self.ready["kafka"], enable_auto_commit=False)
        ends = consumer.end_offsets([TopicPartition("shop.events", number) for number in sorted(consumer.partitions_for_topic("shop.events") or ())])
        consumer.close()
        until("answers hold what the topic holds", lambda: self.api.get("/v1/status").json()["log"]["received"] >= sum(ends.values()))

    def end(self) -> int:
        """Its exit code after SIGTERM; when this returns none of its processes is left."""
        everything = psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        until("all of its processes are gone", lambda: all(map(is_gone, everything)))
        return code

    def destroy(self) -> list[psutil.Process]:
        """SIGKILL to the process above all parts, which it leaves behind."""
        left = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        return left


def user_of(number: int) -> str:
    return f"u{number % 7}"


def order(number: int) -> dict[str, Any]:
    return {"event": "Order Completed", "messageId": f"m{number}", "userId": user_of(number), "properties": {"revenue": 1}}


class Sender(threading.Thread):
    """Sends orders of a few people one after the other until told to stop: the same message again until the collector says 200.

    Every tenth time it sends an old message once more, as a client does whose answer was lost on the way.
    """

    def __init__(self, collector: str, write_key: str) -> None:
        super().__init__(name="sender", daemon=True)
        self.acknowledged: Counter[str] = Counter()
        self.repeated = 0
        self._url, self._key, self._stop_asked = f"{collector}/v1/track", write_key, threading.Event()

    def run(self) -> None:
        with httpx.Client(auth=(self._key, ""), timeout=30) as client:
            for number in itertools.count():
                if number % 10 == 0 and number >= LOST_FOR:
                    self._is_taken(client, order(number - LOST_FOR))
                while not self._is_taken(client, order(number)):
                    self.repeated += 1
                    time.sleep(0.05)
                self.acknowledged[user_of(number)] += 1
                if self._stop_asked.wait(0.02):
                    return

    def stop(self) -> Counter[str]:
        """Orders acknowledged by user. No message is left without an answer."""
        self._stop_asked.set()
        self.join(PATIENCE_S)
        assert not self.is_alive(), "the last message is not acknowledged"
        return self.acknowledged

    def _is_taken(self, client: httpx.Client, message: dict[str, Any]) -> bool:
        with suppress(httpx.TransportError):
            return client.post(self._url, json=message).status_code == 200
        return False
