"""A standalone Spark cluster of the pyspark package on this machine, and jobs submitted to it from what ``make dist`` makes, far from the checkout."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from millrace.local.processes import free_ports, start_process, stop_process

TREE = Path(__file__).resolve().parents[2]
PYSPARK = Path(find_spec("pyspark").origin).parent
READY_S = 90
STOP_S = 15
SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""A job of these tests ends before a better compiler has paid for itself."""
PASSED_ON = ("PATH", "HOME", "LANG", "JAVA_HOME", "TMPDIR")


class Cluster:
    """A master and a worker with two cores; ``dist`` is what is submitted, ``elsewhere`` where from. Nothing of the checkout is on any path."""

    def __init__(self, folder: Path) -> None:
        self.dist, self.elsewhere, self._folder = folder / "dist", folder / "elsewhere", folder
        self.elsewhere.mkdir(parents=True)
        self._stack = ExitStack()
        self._port, self._page, worker_page = free_ports("127.0.0.1", 3)
        self._environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._environment |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m", "SPARK_DAEMON_JAVA_OPTS": SHORT_LIVED}
        make = ["make", "--silent", "--old-file", ".venv/.installed", "dist", f"DIST={self.dist}"]
        subprocess.run(make, cwd=TREE, check=True, stdout=subprocess.DEVNULL)
        self._start("master.Master", "--host", "127.0.0.1", "--port", str(self._port), "--webui-port", str(self._page))
        self._wait("status", "ALIVE")
        size = ["--cores", "2", "--memory", "1g", "--webui-port", str(worker_page), "--work-dir", str(folder / "work")]
        self._start("worker.Worker", "--host", "127.0.0.1", *size, self.master)
        self._wait("aliveworkers", 1)

    @property
    def master(self) -> str:
        return f"spark://127.0.0.1:{self._port}"

    def submit(self, job: str, *options: str) -> "Ended":
        """Runs a job of the distribution by spark-submit to its end."""
        jars = ",".join(map(str, sorted((self.dist / "jars").glob("*.jar"))))
        spark = ["--master", self.master, "--properties-file", str(self.dist / "conf" / "spark-defaults.conf"), "--jars", jars]
        small = ["--driver-memory", "1g", "--conf", "spark.executor.memory=1g"]
        small += ["--driver-java-options", SHORT_LIVED, "--conf", f"spark.executor.extraJavaOptions={SHORT_LIVED}"]
        code = ["--py-files", str(self.dist / "millrace.zip"), str(self.dist / "jobs" / f"{job}.py")]
        argv = [str(PYSPARK / "bin" / "spark-submit"), *spark, *small, *code, *options]
        before = {app["id"] for app in self.applications()}
        ended = subprocess.run(argv, cwd=self.elsewhere, env=self._environment, capture_output=True, text=True, check=False)
        return Ended(ended.returncode, ended.stdout + ended.stderr, [app for app in self.applications() if app["id"] not in before])

    def applications(self) -> list[dict[str, Any]]:
        """What the master's page lists: name, cores, state of every application."""
        state = self._state()
        return [*state["activeapps"], *state["completedapps"]]

    def stop(self) -> None:
        self._stack.close()

    def _start(self, daemon: str, *options: str) -> None:
        argv = [str(PYSPARK / "bin" / "spark-class"), f"org.apache.spark.deploy.{daemon}", *options]
        with (self._folder / f"{daemon}.log").open("ab") as log:
            process = start_process(argv, output=log, env={**self._environment, "SPARK_HOME": str(PYSPARK)}, cwd=self.elsewhere)
        self._stack.callback(stop_process, process, wait_s=STOP_S)

    def _state(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._page}/json/", timeout=5) as page:
            return json.load(page)

    def _wait(self, name: str, value: object) -> None:
        until = time.monotonic() + READY_S
        while time.monotonic() < until:
            with suppress(OSError):
                if self._state()[name] == value:
                    return
            time.sleep(0.1)
        said = "\n".join(log.read_text(encoding="utf-8")[-1500:] for log in self._folder.glob("*.log"))
        raise AssertionError(f"{name} of the master's page was not {value} within {READY_S} s\n{said}")


class Ended:
    """A job that has ended: its exit code, what it said, the applications it brought to the master."""

    def __init__(self, code: int, said: str, applications: list[dict[str, Any]]) -> None:
        self.code, self.said, self.applications = code, said, applications

    @property
    def record(self) -> dict[str, Any]:
        """The JSON line of the run. spark-submit gives what Python says on stderr out on stdout."""
        (record,) = [json.loads(line) for line in self.said.splitlines() if line.startswith('{"run_id"')]
        return record
