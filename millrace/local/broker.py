"""A real Kafka broker on this machine: one KRaft node from the locked jars, loopback only, data under ``<root>/broker``.

``Broker(root)`` is a context manager; jobs/run_broker.py and the tests start it. A restart on the same root keeps the topics and what is in them.
"""

import base64
import secrets
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import IO

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from millrace.errors import SetupError
from millrace.lease import lock
from millrace.local.jars import kafka_jars
from millrace.local.java import java_command
from millrace.local.processes import free_ports, kill_group, last_lines, split_address, start_process, stop_process

READY_S = 60
STOP_S = 20

# Acknowledged events must outlive any pause of the speed layer, so nothing is deleted by age. One node: every internal topic has one replica.
SERVER = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
log.retention.ms=-1
message.timestamp.type=LogAppendTime
num.partitions=2
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
num.network.threads=1
num.io.threads=2
background.threads=1
log.cleaner.dedupe.buffer.size=8388608
"""

LOGGING = """\
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


class Broker:
    """One broker process. Start it from a thread that lives as long as it should: it ends with that thread, so that none is left behind."""

    def __init__(self, root: str | Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.folder = Path(root).resolve() / "broker"
        self.host = host
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """``host:port``. Port 0 becomes a free one at the first start and stays the same at later starts."""
        return f"{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        return self.folder / "broker.log"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> "Broker":
        """Runs the broker (formats its data the first time) and waits until it answers; SetupError with the end of its log when it does not,
        or when another one runs on the same data."""
        if self.pid is not None:
            return self
        given = self.port
        for attempt in Retrying(retry=retry_if_exception_type(_PortTaken), stop=stop_after_attempt(1 if given else 3), reraise=True):
            with attempt:
                self._take_folder()
                port, controller_port = free_ports(self.host, 2)
                self.port = given or port
                self._run(self._write_settings(controller_port))
        return self

    def stop(self) -> None:
        """Stops it in order; what it acknowledged is on disk. Nothing happens when it does not run."""
        if self._process is not None:
            stop_process(self._process, wait_s=STOP_S)
            self._ended()

    def kill(self) -> None:
        """SIGKILL, as a crash would; ``start`` brings it back on the same address and data."""
        if self._process is not None:
            kill_group(self._process)
            self._process.wait()
            self._ended()

    def _ended(self) -> None:
        self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def wait(self) -> int:
        """Waits until the process ends by itself; its exit code."""
        return 0 if self._process is None else self._process.wait()

    def __enter__(self) -> "Broker":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _take_folder(self) -> None:
        """Kafka's own lock comes too late: a second node on the same data writes into the metadata log of the first, which then dies.
        The broker process has this one open, so that it is held as long as that lives."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._lock is not None:
            self._lock.close()
        self._lock = (self.folder / "lock").open("ab")
        if not lock(self._lock):
            self._lock.close()
            raise SetupError(f"another broker already uses {self.folder}: stop it, or give another root")

    def _write_settings(self, controller_port: int) -> Path:
        (self.folder / "log4j2.properties").write_text(LOGGING, encoding="utf-8")
        settings = self.folder / "server.properties"
        text = SERVER.format(host=self.host, port=self.port, controller_port=controller_port, data=self.folder / "data")
        settings.write_text(text, encoding="utf-8")
        return settings

    def _run(self, settings: Path) -> None:
        java = self._java()
        log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            if not (self.folder / "data" / "meta.properties").exists():
                cluster = base64.b64encode(secrets.token_bytes(16), altchars=b"AA").decode().rstrip("=")
                format_data = start_process([*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)], output=log)
                if format_data.wait() != 0:
                    raise SetupError(f"the broker could not format {self.folder / 'data'}; the end of {self.log}:\n{last_lines(self.log, since=log_start)}")
            self._process = start_process([*java, "kafka.Kafka", str(settings)], output=log, inherits=[self._lock.fileno()])
        try:
            ready = self._is_ready()
        except BaseException:
            self.kill()
            raise
        if not ready:
            self.kill()
            raise self._failure(last_lines(self.log, since=log_start))

    def _java(self) -> list[str]:
        options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"]
        return [java_command(), *options, "-cp", ":".join(map(str, kafka_jars()))]

    def _is_ready(self) -> bool:
        """Waits until this very cluster answers with a live broker; False when the process ends first or READY_S passes."""
        meta = (self.folder / "data" / "meta.properties").read_text(encoding="utf-8").splitlines()
        until = time.monotonic() + READY_S
        while time.monotonic() < until and self.pid is not None:
            if f"cluster.id={cluster_at(self.bootstrap)}" in meta:
                return True
            time.sleep(0.05)
        return False

    def _failure(self, said: str) -> SetupError:
        kind, fix = SetupError, "mend what its log says, then start again"
        if "Address already in use" in said:
            kind, fix = _PortTaken, f"port {self.port} is taken: give another, or 0 for any free one"
        return kind(f"the Kafka broker did not start at {self.bootstrap}; {fix}\nthe end of {self.log}:\n{said}")


def cluster_at(bootstrap: str) -> str | None:
    """Id of the cluster that answers a metadata request at this address with a live broker; None while there is none."""
    host, port = split_address(bootstrap)
    try:
        socket.create_connection((host, port), timeout=1).close()
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
        try:
            cluster = admin.describe_cluster()
        finally:
            admin.close()
    except (OSError, KafkaError):
        return None
    alive = [broker for broker in cluster["brokers"] if not broker["is_fenced"]]
    return cluster["cluster_id"] if alive else None


class _PortTaken(SetupError):
    """A port that was free a moment ago is someone else's now."""
