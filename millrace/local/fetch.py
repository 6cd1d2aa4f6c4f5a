"""Brings the locked jars into ``.cache/jars`` and writes the lock. ``make jars`` (jobs/fetch_jars.py) calls ``fetch_jars``; nothing else needs a network."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from millrace.errors import SetupError
from millrace.local.jars import JARS_LOCK, LockedJar, jars_folder, read_lock
from millrace.local.maven import MavenResolver, RepositoryUnavailable, maven_resolver

LOCK_HEADER = """\
# Jars of the two class paths. Written by `python -m jobs.fetch_jars --update-lock`; `make jars` fetches exactly these.
# set  group:artifact:version  bytes  sha256
"""


@dataclass(frozen=True)
class JarSet:
    """What a class path is resolved from, and what of it is left out (``group:artifact``, ``*`` allowed)."""

    roots: tuple[str, ...]
    leave_out: tuple[str, ...] = ()


# Spark brings its own, newer Hadoop, Parquet, Jackson, logging and codecs: a second copy on the class path breaks it.
SETS = {
    "spark": JarSet(
        roots=("io.delta:delta-spark_4.2_2.13:4.4.0", "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0", "com.globalmentor:hadoop-bare-naked-local-fs:0.1.0"),
        leave_out=(
            "org.apache.hadoop:*", "org.apache.parquet:*", "com.fasterxml.jackson.core:*", "com.fasterxml.jackson.datatype:*", "org.apache.logging.log4j:*",
            "org.slf4j:*", "com.github.luben:*", "at.yawk.lz4:*", "org.lz4:*", "org.xerial.snappy:*", "org.roaringbitmap:*", "com.google.code.findbugs:*",
            "org.scala-lang:*", "org.scala-lang.modules:*", "javax.annotation:*", "commons-pool:*", "io.airlift:*", "org.locationtech.jts:*",
        ),
    ),
    "kafka": JarSet(roots=("org.apache.kafka:kafka_2.13:4.1.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3")),
}  # fmt: skip


def fetch_jars() -> dict[str, list[Path]]:
    """Brings the locked jars of every set into its folder, each checked by sha256; what is there and right stays. SetupError when one cannot be had."""
    locked = {name: read_lock(name) for name in SETS}
    missing = {name: [jar for jar in jars if not _has_sha256(jars_folder(name) / jar.file_name, jar.sha256)] for name, jars in locked.items()}
    if any(missing.values()):
        with _resolver() as resolver:
            for name, jars in missing.items():
                if jars:
                    _place(jars, resolver.resolve([jar.coordinate for jar in jars], transitive=False), jars_folder(name))
    return {name: [jars_folder(name) / jar.file_name for jar in jars] for name, jars in locked.items()}


def update_lock() -> list[LockedJar]:
    """Resolves every set anew and rewrites conf/jars.lock; gives the jars it now pins."""
    locked = []
    with _resolver() as resolver:
        for name, jars in SETS.items():
            found = resolver.resolve(jars.roots, leave_out=jars.leave_out)
            locked += [LockedJar(name, coordinate, path.stat().st_size, _sha256(path)) for coordinate, path in sorted(found.items())]
    JARS_LOCK.write_text(LOCK_HEADER + "".join(f"{jar.set_name}  {jar.coordinate}  {jar.size}  {jar.sha256}\n" for jar in locked), encoding="utf-8")
    return locked


def _place(jars: list[LockedJar], found: dict[str, Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for jar in jars:
        path = found.get(jar.coordinate)
        if path is None or not _has_sha256(path, jar.sha256):
            raise SetupError(
                f"{jar.coordinate} as downloaded is not what conf/jars.lock pins (sha256); do not use it: check the repository or mirror, then `make jars`"
            )
        part = folder / f".{jar.file_name}.{os.getpid()}"
        shutil.copyfile(path, part)
        os.replace(part, folder / jar.file_name)


@contextmanager
def _resolver() -> Iterator[MavenResolver]:
    try:
        with maven_resolver() as resolver:
            yield resolver
    except RepositoryUnavailable as error:
        raise SetupError(
            f"jars could not be fetched ({error}); check the network, or set DEFAULT_ARTIFACT_REPOSITORY to a Maven mirror, then `make jars`"
        ) from error


def _has_sha256(path: Path, sha256: str) -> bool:
    return path.is_file() and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
