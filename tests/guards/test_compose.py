"""docker-compose.yml and the Dockerfile by rule: no engine is needed to see that what they name exists and that nothing is open to the network."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.config import load_configuration

TREE = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((TREE / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (TREE / "Dockerfile").read_text()
PARTS = {"kafka", "collector", "spark-master", "spark-worker", "speed", "batch", "segments", "health", "api"}
JOB = re.compile(r"(?:python -m jobs\.|jobs/)(?P<name>\w+)")

each_service = pytest.mark.parametrize("name", SERVICES)


def text_of(command: str | list[str] | None) -> str:
    return command if isinstance(command, str) else " ".join(command or [])


@cache
def help_of(job: str) -> str:
    return subprocess.run([sys.executable, "-m", f"jobs.{job}", "--help"], capture_output=True, text=True, check=True, cwd=TREE).stdout


def test_every_part_of_the_platform_is_a_service() -> None:
    assert set(SERVICES) == PARTS


def problems_of(composition: Path) -> str:
    """What the schema of the Compose specification finds wrong; the package brings it, no network is asked."""
    return subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(composition)], capture_output=True, text=True, check=False).stdout


def test_the_file_fits_the_schema_of_the_compose_specification(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(yaml.safe_dump(COMPOSE | {"services": SERVICES | {"api": SERVICES["api"] | {"portz": []}}}))
    assert problems_of(TREE / "docker-compose.yml") == "ok -- validation done\n"
    assert "portz" in problems_of(wrong)


@each_service
def test_image_has_a_pinned_version(name: str) -> None:
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert re.fullmatch(r"\d+\.\d+\.\d+", tag)


@each_service
def test_service_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"} and len(check["test"]) > 1
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)


@each_service
def test_service_waits_until_what_it_needs_is_healthy(name: str) -> None:
    needed = SERVICES[name].get("depends_on", {})
    assert all(SERVICES[other]["healthcheck"] and condition == {"condition": "service_healthy"} for other, condition in needed.items())


@each_service
def test_ports_open_on_this_machine_only(name: str) -> None:
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in SERVICES[name].get("ports", []))


@each_service
def test_data_lies_in_named_volumes(name: str) -> None:
    assert all(volume.split(":")[0] in COMPOSE["volumes"] for volume in SERVICES[name].get("volumes", []))


@each_service
def test_hosts_a_command_names_are_services(name: str) -> None:
    written = text_of(SERVICES[name].get("command")) + " ".join(SERVICES[name].get("environment", {}).values())
    hosts = {host for host in re.findall(r"([a-z][a-z-]*):\d{4}\b", written) if host != name}
    assert hosts <= set(SERVICES)
    assert hosts <= {name, *SERVICES[name].get("depends_on", {}), "spark-master"}


@each_service
def test_command_runs_a_job_that_exists_with_options_it_has(name: str) -> None:
    command = text_of(SERVICES[name].get("command"))
    job = JOB.search(command)
    if job is None:
        assert name in {"kafka", "spark-master", "spark-worker"}
        return
    assert (TREE / "jobs" / f"{job['name']}.py").is_file()
    options = set(re.findall(r"(?<=\s)--[a-z-]+", re.split(r"[&;]", command[job.end() :])[0]))
    assert options and all(option in help_of(job["name"]) for option in options)


@each_service
def test_folders_a_command_reads_are_in_the_image(name: str) -> None:
    paths = re.findall(r"(?<=\s)(?:conf|jobs)/[\w./-]+", text_of(SERVICES[name].get("command")))
    assert all((TREE / path).exists() for path in paths)


def test_the_parts_listen_and_write_where_the_configuration_of_the_cluster_says() -> None:
    settings = load_configuration(file=TREE / "conf" / "cluster.yml", environ={}).settings
    jobs = {name for name in SERVICES if JOB.search(text_of(SERVICES[name].get("command")))}
    assert all("--config conf/cluster.yml" in text_of(SERVICES[name]["command"]) for name in jobs)
    assert all(f"data:{settings.root}" in SERVICES[name]["volumes"] for name in jobs | {"spark-worker"})
    for name, listen in (("collector", settings.collector.listen), ("api", settings.api.listen)):
        (port,) = SERVICES[name]["ports"]
        assert listen == f"0.0.0.0:{port.split(':')[2]}"
    assert settings.kafka.bootstrap in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]


def test_the_broker_has_the_settings_of_the_local_one() -> None:
    from millrace.local.broker import SERVER

    local = dict(line.split("=", 1) for line in SERVER.splitlines())
    image = {key.removeprefix("KAFKA_").lower().replace("_", "."): value for key, value in SERVICES["kafka"]["environment"].items()}
    shared = {"auto.create.topics.enable", "num.partitions", "min.insync.replicas", "group.initial.rebalance.delay.ms"} | {key for key in local if ".replication.factor" in key}
    shared -= {"default.replication.factor"}
    assert {key: image.get(key) for key in shared} == {key: local[key] for key in shared}
    assert image["log.message.timestamp.type"] == local["message.timestamp.type"]
    assert image["log.retention.ms"] == local["log.retention.ms"]
    assert image["process.roles"] == local["process.roles"]


def test_the_broker_image_is_of_the_line_the_jars_are_of() -> None:
    from millrace.local.jars import read_lock

    (locked,) = (jar.coordinate.rpartition(":")[2] for jar in read_lock("kafka") if ":kafka_2.13:" in jar.coordinate)
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{locked}"


def test_the_image_is_built_by_the_commands_of_the_makefile() -> None:
    targets = re.findall(r"^RUN make (\S+)$", DOCKERFILE, re.MULTILINE)
    makefile = (TREE / "Makefile").read_text()
    assert targets == [".venv/.installed", "jars"]
    assert "INSTALLED := $(VENV)/.installed" in makefile and "\njars:" in makefile


def test_the_base_image_is_pinned_and_python_is_new_enough() -> None:
    base = re.search(r"^FROM python:3\.(\d+)\.\d+-slim-bookworm$", DOCKERFILE, re.MULTILINE)
    assert base and int(base[1]) >= 11


def test_what_the_dockerfile_copies_is_let_through_and_exists() -> None:
    allowed = {line[1:] for line in (TREE / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [source for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE) for source in line.split()[:-1]]
    assert {source.split("/")[0] for source in copied} == allowed
    assert all((TREE / source).exists() for source in copied)


def test_the_image_does_not_run_as_root() -> None:
    assert re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE) == ["millrace"]
