"""What the doctor refuses and the sentence it gives."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import doctor as job
from millrace.errors import SetupError
from millrace.local import doctor, java

TREE = Path(doctor.PROJECT)
JOBS = sorted(path.stem for path in (TREE / "jobs").glob("*.py") if path.stem not in {"__init__", "doctor"})
GOOD = {package: lowest for package, lowest, _, _ in doctor.PAIRINGS}


@pytest.fixture(autouse=True)
def no_remembered_java() -> None:
    java.java_command.cache_clear()


def installed(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    found = {**GOOD, **{name.replace("_", "-"): version for name, version in versions.items()}}
    monkeypatch.setattr(doctor, "_installed", found.get)


def test_this_machine_passes() -> None:
    doctor.quick_check()


@pytest.mark.parametrize(
    ("package", "version"),
    [("pyspark", "4.3.0"), ("delta_spark", "4.4.1"), ("pandas", "3.0.0"), ("kafka_python", "3.0.11"), ("duckdb", "1.6.0"), ("pyarrow", None)],
)
def test_a_version_outside_its_pairing_is_refused(monkeypatch: pytest.MonkeyPatch, package: str, version: str | None) -> None:
    installed(monkeypatch, **{package: version})
    with pytest.raises(SetupError, match=rf"{package.replace('_', '-')}: {version or 'not installed'}; needed is .*make setup"):
        doctor.quick_check(spark=False)


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, pandas="3.0.0", pyspark="4.1.0")
    with pytest.raises(SetupError) as refusal:
        doctor.quick_check(spark=False)
    assert [line.split(":")[0] for line in str(refusal.value).splitlines()] == ["pyspark", "pandas"]


def test_jars_for_other_versions_than_installed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, delta_spark="4.5.0")
    assert "spark jars: conf/jars.lock is for other versions" in "\n".join(f"{finding.subject}: {finding.found}" for finding in doctor.examine({}))


def test_missing_java_is_refused_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match=r"no Java in JAVA_HOME .*install Java 17 or newer"):
        doctor.quick_check()


def test_an_older_java_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "java"
    command.parent.mkdir()
    command.write_text('#!/bin/sh\necho \'openjdk version "1.8.0_392"\' >&2\n')
    command.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match=r"is Java 8; install Java 17"):
        java.java_command()


def test_a_java_that_does_not_run_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = tmp_path / "bin" / "java"
    command.parent.mkdir()
    command.write_bytes(b"\x7fELF of another machine")
    command.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SetupError, match=r"does not say which Java it is; install Java 17"):
        java.java_command()


@pytest.mark.parametrize("name", JOBS)
def test_a_job_under_a_python_without_the_packages_says_what_to_do(name: str) -> None:
    """``-S``: a Python as it is before any environment is activated."""
    ended = subprocess.run([sys.executable, "-S", "-m", f"jobs.{name}"], cwd=TREE, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [f"packages: {sys.executable} has none of those Millrace needs; run `make setup`, then `. .venv/bin/activate` in this shell"]


def test_the_doctor_says_the_same_beside_all_else() -> None:
    ended = subprocess.run([sys.executable, "-S", "-m", "jobs.doctor"], cwd=TREE, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "has none of those Millrace needs; run `make setup`, then" in ended.stdout and "ok   Python: " in ended.stdout


def test_under_spark_submit_java_and_jars_are_the_clusters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("MILLRACE_JARS", str(tmp_path))
    monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    doctor.quick_check()


def test_a_taken_port_is_named_with_the_option_that_moves_it() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        fixes = [finding.fix for finding in doctor.examine({"--api": port}) if finding.subject == f"port {port}"]
    assert fixes == ["stop what listens there, or run Millrace with `--api 127.0.0.1:0`"]


def test_the_job_ends_with_2_when_something_is_to_mend(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(job, "examine", lambda: iter([doctor.Finding("Java", "8", "install 17"), doctor.Finding("Python", "3.11")]))
    assert job.main([]) == 2
    assert capsys.readouterr().out.splitlines() == ["FIX  Java: 8; install 17", "ok   Python: 3.11", "1 to mend"]
