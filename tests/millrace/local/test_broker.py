"""The local broker for real: formatted, started, stopped, killed, started again on the same data."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from millrace.errors import SetupError
from millrace.local.broker import Broker, cluster_at
from millrace.topics import ensure_topic

pytestmark = pytest.mark.stack


def send(broker: Broker, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    producer.send(topic, value, partition=0).get(timeout=30)
    producer.close()


def read_first(broker: Broker, topic: str) -> tuple[bytes, int]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=30_000)
    consumer.assign([TopicPartition(topic, 0)])
    record = next(iter(consumer))
    consumer.close()
    return record.value, record.timestamp_type


def run_broker(root: Path, kafka: str = "127.0.0.1:0") -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "jobs.run_broker", "--root", str(root), "--kafka", kafka]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_topics_and_records_survive_a_stop_and_a_kill(tmp_path: Path) -> None:
    broker = Broker(tmp_path).start()
    try:
        topic = ensure_topic(broker.bootstrap, "shop")
        send(broker, topic, b"one")
        address = broker.bootstrap
        broker.stop()
        assert broker.pid is None
        broker.start()
        broker.kill()
        broker.start()
        assert broker.bootstrap == address
        assert read_first(broker, topic) == (b"one", 1)  # 1: LogAppendTime
    finally:
        broker.stop()


def test_a_broker_that_cannot_start_says_why_and_leaves_nothing_running(broker: Broker, tmp_path: Path) -> None:
    second = Broker(tmp_path, port=broker.port)
    with pytest.raises(SetupError, match=f"port {broker.port} is taken"):
        second.start()
    assert second.pid is None


def test_a_second_broker_on_the_same_data_is_refused(broker: Broker) -> None:
    with pytest.raises(SetupError, match="another broker already uses"):
        Broker(broker.folder.parent).start()
    assert cluster_at(broker.bootstrap) in (broker.folder / "data" / "meta.properties").read_text()


def test_the_job_prints_its_address_and_stops_on_sigterm_with_code_0(tmp_path: Path) -> None:
    job = run_broker(tmp_path)
    ready = json.loads(job.stdout.readline())
    java = psutil.Process(job.pid).children()
    assert ready["ready"] is True and ready["kafka"].startswith("127.0.0.1:")
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 0
    assert not any(process.is_running() for process in java)


def test_no_broker_is_left_when_its_job_is_killed(tmp_path: Path) -> None:
    job = run_broker(tmp_path)
    job.stdout.readline()
    (java,) = psutil.Process(job.pid).children()
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    psutil.wait_procs([java], timeout=60)
    assert not java.is_running() or java.status() == psutil.STATUS_ZOMBIE


def test_an_address_that_is_none_is_refused_with_an_example(tmp_path: Path) -> None:
    job = run_broker(tmp_path, "nonsense")
    _, said = job.communicate(timeout=60)
    assert job.returncode == 2
    assert "write host:port" in said
