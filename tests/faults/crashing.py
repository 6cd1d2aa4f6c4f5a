"""Real jobs that die where the environment says: start one, wait for its end, and for the Java it leaves behind."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from millrace.faults import VARIABLE
from millrace.local.processes import kill_group, start_process
from tests.laws.oracle import Record
from tests.laws.stack import StackTenant

REPOSITORY = Path(__file__).resolve().parents[2]
ENDED_S = 180


class FaultTenant(StackTenant):
    """A tenant whose jobs run as processes of their own."""

    def __init__(self, spark, broker, root: Path, *, seed: str, producer: KafkaProducer) -> None:
        super().__init__(spark, broker.bootstrap, root, name=f"fault{time.time_ns()}", chance=random.Random(seed), producer=producer)
        self.root = root
        (root / "definitions").mkdir()
        (root / "definitions" / "views.yml").write_text(json.dumps(self.views_of_file()), encoding="utf-8")

    def options(self, job: str, *more: str) -> list[str]:
        found = [sys.executable, "-m", f"jobs.{job}", "--root", str(self.root), "--tenant", self.tables.tenant, *more]
        return found if job == "collect_events" else [*found, "--definitions", str(self.root / "definitions")]

    @contextmanager
    def job(self, job: str, *more: str, crash_at: str = "") -> Iterator[subprocess.Popen[bytes]]:
        """A running job; nothing of it is left afterwards. Its output is in ``<root>/<job>.log``."""
        self.steps.append(f"{job} {crash_at}")
        with open(self.root / f"{job}.log", "ab") as output:
            process = start_process(self.options(job, *more), output=output, env={VARIABLE: crash_at, "MILLRACE_SPARK_MASTER": "local[1]"}, cwd=REPOSITORY)
            try:
                yield process
            finally:
                _end(process)

    def crash(self, job: str, *more: str, crash_at: str) -> None:
        """Runs a job that must die at a crash point, by SIGKILL and in time."""
        with self.job(job, *more, crash_at=crash_at) as process:
            code = process.wait(ENDED_S)
        assert code == -signal.SIGKILL, f"{job} ended with {code} instead of dying at {crash_at}; the end of its log:\n{self.said(job)}"

    def said(self, job: str) -> str:
        return "\n".join((self.root / f"{job}.log").read_text(encoding="utf-8", errors="replace").splitlines()[-25:])

    def read_topic(self) -> None:
        """What the topic holds becomes what was sent: for records a collector wrote."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        partitions = [TopicPartition(self.topic, number) for number in sorted(consumer.partitions_for_topic(self.topic) or ())]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends, self.sent, until = consumer.end_offsets(partitions), [], time.monotonic() + 30
        while any(consumer.position(one) < ends[one] for one in partitions):
            assert time.monotonic() < until, "the topic could not be read"
            for records in consumer.poll(timeout_ms=200).values():
                self.sent += [Record(one.value, one.partition, one.offset, one.timestamp * 1_000, dict(one.headers)["source"].decode()) for one in records]
        consumer.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the job if it still runs, and waits until no process of its group is alive: a Java without its Python must not write on beside the next run."""
    if process.poll() is None:
        kill_group(process)
        process.wait()
    until = time.monotonic() + 30
    while alive := [one for one in psutil.process_iter() if _group(one.pid) == process.pid and _runs(one)]:
        assert time.monotonic() < until, f"{alive} outlive the job that started them"
        time.sleep(0.05)


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
