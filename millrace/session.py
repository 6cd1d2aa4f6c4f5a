"""The Spark session of a job: settings from conf/spark-defaults.conf, jars from the locked directory. Jobs, tests and notebooks call it."""

import os
import sys
from pathlib import Path

from pyspark.sql import SparkSession

from millrace.errors import ConfigurationError
from millrace.local.jars import spark_jars
from millrace.settings import DEFAULTS

PROPERTIES = Path(__file__).resolve().parent.parent / "conf" / "spark-defaults.conf"
FORKLESS_FILES = "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem"
"""Without native Hadoop each small local file costs processes; this saves them (trigger 178 → 50 ms). Only here: spark-submit itself would need the class before it has --jars."""
READS_TABLES = {"spark.sql.caseSensitive": "true", "spark.sql.session.timeZone": "UTC", "spark.sql.decimalOperations.allowPrecisionLoss": "true"}
"""Settings on which it depends what a column is, which time it holds, and how many digits a quotient has."""


def create_session(
    name: str = "millrace", *, master: str = DEFAULTS.spark.master, memory: str = DEFAULTS.spark.memory, shuffle_partitions: int | None = None
) -> SparkSession:
    """The running session, or a new one; jobs give the spark settings. Under ``spark-submit`` master, memory and jars are what the command said.
    SetupError when jars are missing."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(name)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:
        builder = builder.master(master)
        for key, value in read_properties(PROPERTIES).items():
            builder = builder.config(key, value)
        path = os.pathsep.join(str(jar) for jar in spark_jars())
        builder = (
            builder.config("spark.hadoop.fs.file.impl", FORKLESS_FILES)
            .config("spark.driver.extraClassPath", path)
            .config("spark.executor.extraClassPath", path)
            .config("spark.driver.memory", memory)
            .config("spark.driver.extraJavaOptions", "-XX:+UseParallelGC")  # two cores have no room for a collector that runs beside the work
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
        )
    if shuffle_partitions is not None:
        builder = builder.config("spark.sql.shuffle.partitions", shuffle_partitions)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("WARN")
    check_settings(session)
    return session


def check_settings(session: SparkSession) -> None:
    """ConfigurationError when the session reads tables differently from how they were written."""
    wrong = [f"{key} is {found}, not {needed}" for key, needed in READS_TABLES.items() if (found := session.conf.get(key, "unset")) != needed]
    if wrong:
        raise ConfigurationError(f"Spark would read tables differently: {'; '.join(wrong)}; start it with --properties-file conf/spark-defaults.conf")


def read_properties(path: Path) -> dict[str, str]:
    """Key and value of each line of a Spark properties file; comments and blank lines are left out."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split(None, 1) for line in lines if line and not line.startswith("#"))
