"""The Spark session of a job: settings from conf/spark-defaults.conf, jars from the locked directory. Jobs, tests and notebooks call it."""

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from millrace.local.jars import spark_jars

DEFAULTS = Path(__file__).resolve().parent.parent / "conf" / "spark-defaults.conf"


def create_session(name: str = "millrace", *, master: str | None = None, memory: str = "2g") -> SparkSession:
    """The running session, or a new one. Under ``spark-submit`` master, memory and jars are what the command said;
    otherwise a local driver with two threads and ``memory`` of heap. SetupError when jars are missing."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        builder = builder.master(master or os.environ.get("MILLRACE_MASTER", "local[2]"))
        for key, value in read_properties(DEFAULTS).items():
            builder = builder.config(key, value)
        path = os.pathsep.join(str(jar) for jar in spark_jars())
        builder = (
            builder.config("spark.driver.extraClassPath", path)
            .config("spark.executor.extraClassPath", path)
            .config("spark.driver.memory", memory)
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
        )
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    return session


def read_properties(path: Path) -> dict[str, str]:
    """Key and value of each line of a Spark properties file; comments and blank lines are left out."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))
