"""Looks whether this machine can run Millrace. Every job calls ``quick_check`` at its start; jobs/doctor.py prints all of ``examine``.

Needs nothing but the standard library, so that it can say what is missing.
"""

import os
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from millrace.errors import SetupError
from millrace.local.jars import PROJECT, kafka_jars, read_lock, spark_jars
from millrace.local.java import java_command, java_version

PACKAGES_LOCK = PROJECT / "conf" / "requirements.lock"
PORTS = {"--collector": 8080, "--api": 8081}
MEMORY_GB = 4
DISK_GB = 5
_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;\\]+)(?P<marker> ;)?", re.MULTILINE)

# Package, lowest version, first version too new, why. What pip would let drift apart, and what fails late and strangely when it does.
PAIRINGS = (
    ("pyspark", "4.2.0", "4.2.1", "Delta, the jars and the stream's settings are for Spark 4.2.0"),
    ("delta-spark", "4.4.0", "4.4.1", "the Delta jars on Maven are 4.4.0"),
    ("pandas", "2.2", "3", "Spark 4.2 does not support pandas 3"),
    ("pyarrow", "21", "27", "deltalake reads and writes through it"),
    ("kafka-python", "3.0.12", "3.0.13", "older 3.0 versions leak and stall, and the collector builds on internals of this one"),
    ("importlib_metadata", "1", "8.7.2", "delta-spark refuses newer ones"),
    ("duckdb", "1.5.5", "1.5.6", "its Delta extension is for exactly 1.5.5"),
    ("duckdb-extension-delta", "1.5.5", "1.5.6", "it fits exactly one duckdb"),
)


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found and, when that will not do, what mends it."""

    subject: str
    found: str
    fix: str | None = None


def quick_check(*, spark: bool = True) -> None:
    """The cheap part, for the start of a job: Python, the pairings and (``spark``) Java and jars; SetupError with what mends it.

    Under ``spark-submit`` Java and jars are the cluster's and are not looked at.
    """
    findings = [_python(), *_pairings()]
    if spark and "PYSPARK_GATEWAY_PORT" not in os.environ:
        findings += [_java(), _jars("spark")]
    problems = [f"{finding.subject}: {finding.found}; {finding.fix}" for finding in findings if finding.fix]
    if problems:
        raise SetupError("\n".join(problems))


def examine(ports: dict[str, int] = PORTS) -> Iterator[Finding]:
    """Everything that can keep Millrace from running on this machine, good findings included."""
    yield _python()
    yield _java()
    yield _packages()
    yield from _pairings()
    yield from (_jars(name) for name in ("spark", "kafka"))
    yield from (_port(option, port) for option, port in ports.items())
    yield from (_disk(folder) for folder in (PROJECT, Path(tempfile.gettempdir())))
    yield _memory()


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", found, None if sys.version_info >= (3, 11) else "Millrace needs 3.11 or newer: `make setup PYTHON=python3.11`")


def _java() -> Finding:
    try:
        command = java_command()
    except SetupError as error:
        return _mend("Java", error)
    return Finding("Java", f"{java_version(command)} ({command})")


def _packages() -> Finding:
    """Every package of the lock in a locked version; one whose line has a marker may be absent."""
    locked: dict[str, set[str | None]] = {}
    for pin in _PIN.finditer(PACKAGES_LOCK.read_text(encoding="utf-8")):
        locked.setdefault(pin["name"], set()).update({pin["version"], None} if pin["marker"] else {pin["version"]})
    wrong = [f"{name} {_installed(name) or 'missing'}" for name, versions in locked.items() if _installed(name) not in versions]
    if wrong:
        return Finding("packages", f"{len(wrong)} of {len(locked)} not as locked: {', '.join(wrong[:4])}", _set_up())
    return Finding("packages", f"{len(locked)} as in conf/requirements.lock")


def _pairings() -> Iterator[Finding]:
    """One finding a package; only one when this Python has none of them: then it is another than that of the set-up."""
    if not any(_installed(package) for package, *_ in PAIRINGS):
        yield Finding("packages", f"{sys.executable} has none of those Millrace needs", _set_up())
        return
    for package, lowest, too_new, why in PAIRINGS:
        found = _installed(package)
        fits = found is not None and _numbers(lowest) <= _numbers(found) < _numbers(too_new)
        yield Finding(package, found or "not installed", None if fits else f"needed is >={lowest},<{too_new} ({why}): {_set_up()}")


def _jars(name: str) -> Finding:
    try:
        found = spark_jars() if name == "spark" else kafka_jars()
    except SetupError as error:
        return _mend(f"{name} jars", error)
    built_for = {jar.coordinate for jar in read_lock(name)}
    needed = {f"io.delta:delta-spark_4.2_2.13:{_installed('delta-spark')}", f"org.apache.spark:spark-sql-kafka-0-10_2.13:{_installed('pyspark')}"}
    if name == "spark" and not needed <= built_for:
        return Finding("spark jars", "conf/jars.lock is for other versions of pyspark and delta-spark than those installed", "run `make setup`")
    return Finding(f"{name} jars", f"{len(found)} as in conf/jars.lock")


def _port(option: str, port: int) -> Finding:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return Finding(f"port {port}", "taken", f"stop what listens there, or run Millrace with `{option} 127.0.0.1:0`")
    return Finding(f"port {port}", "free")


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 2**30
    return Finding(f"disk of {folder}", f"{free:.0f} GB free", None if free >= DISK_GB else f"free {DISK_GB} GB")


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Finding(
        "memory", f"{total:.0f} GB", None if total >= MEMORY_GB * 0.9 else f"give the machine {MEMORY_GB} GB: broker, Spark driver and API need about 3"
    )


def _set_up() -> str:
    """What brings the packages; to a Python that is not the one of the set-up nothing does."""
    is_ours = Path(sys.prefix).resolve() == (PROJECT / ".venv").resolve()
    return "run `make setup`" if is_ours else "run `make setup`, then `. .venv/bin/activate` in this shell"


def _mend(subject: str, error: SetupError) -> Finding:
    found, _, fix = str(error).partition("; ")
    return Finding(subject, found, fix)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
