"""Jars of Spark and of the local Kafka broker: two sets, pinned by conf/jars.lock and kept under ``.cache/jars``.

The session calls ``spark_jars`` and the broker ``kafka_jars``: cheap looks at names and sizes. ``millrace.local.fetch`` brings the jars and checks their contents.
"""

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from millrace.errors import SetupError

PROJECT = Path(__file__).resolve().parents[2]
JARS_LOCK = PROJECT / "conf" / "jars.lock"
_LOCK_LINE = re.compile(r"(?P<set>\w+)\s+(?P<coordinate>[^\s:]+:[^\s:]+:[^\s:]+)\s+(?P<size>\d+)\s+(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class LockedJar:
    """One jar of a set, as the lock pins it."""

    set_name: str
    coordinate: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def jars_folder(set_name: str) -> Path:
    """Where the jars of a set are kept: ``.cache/jars/<set>`` of the checkout, or ``$MILLRACE_JARS/<set>``."""
    return Path(os.environ.get("MILLRACE_JARS") or PROJECT / ".cache" / "jars") / set_name


def spark_jars() -> list[Path]:
    """Jars for ``spark.driver.extraClassPath``; SetupError when they are not the locked ones (names and sizes; contents are checked when fetched)."""
    return _present_jars("spark")


def kafka_jars() -> list[Path]:
    """Class path of the local broker, as ``spark_jars``; the Scala library comes from pyspark, because Spark's Maven utilities never resolve it."""
    pyspark = find_spec("pyspark")
    scala = sorted(Path(pyspark.origin).parent.glob("jars/scala-library-2.13.*.jar")) if pyspark and pyspark.origin else []
    if not scala:
        raise SetupError("no pyspark with a Scala library among its jars is installed; run `make setup`")
    return _present_jars("kafka") + scala


def read_lock(set_name: str) -> list[LockedJar]:
    """Locked jars of a set, in the order of the lock; SetupError when the lock is missing or a line does not read."""
    try:
        lines = JARS_LOCK.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise SetupError(f"no {JARS_LOCK}; restore conf/jars.lock from git, or write it anew: `python -m jobs.fetch_jars --update-lock`") from None
    jars = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LOCK_LINE.fullmatch(line.strip())
        if found is None:
            raise SetupError(f"{JARS_LOCK}:{number} is not `set group:artifact:version bytes sha256`; restore conf/jars.lock from git")
        jars.append(LockedJar(found["set"], found["coordinate"], int(found["size"]), found["sha256"]))
    return [jar for jar in jars if jar.set_name == set_name]


def _present_jars(set_name: str) -> list[Path]:
    folder = jars_folder(set_name)
    jars = read_lock(set_name)
    wrong = [jar.file_name for jar in jars if _size(folder / jar.file_name) != jar.size]
    if wrong:
        raise SetupError(f"{len(wrong)} of {len(jars)} {set_name} jars are missing or not the locked ones in {folder} (first: {wrong[0]}); run `make jars`")
    return [folder / jar.file_name for jar in jars]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
