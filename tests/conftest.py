"""What the tests share: one Spark session and one real Kafka broker for the whole run, each started by the first test that asks for it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tenant import Tenant

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from millrace.local.broker import Broker


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The seed of the run, so that any failure can be repeated."""
    if (tiers := sys.modules.get("tests.tiers")) is not None:
        terminalreporter.write_line(f"{tiers.LAW_EXAMPLES} examples a law, {tiers.STACK_HISTORIES} histories of the real stack; repeat with MILLRACE_SEED={tiers.SEED}")


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    from millrace.session import create_session  # here, so that plain tests load no pyspark

    session = create_session("tests", memory="1g")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Broker]":
    """A broker of the run's own. Tests share it: each takes a tenant, and so a topic, of its own."""
    from millrace.local.broker import Broker

    with Broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def tenant(spark: "SparkSession", broker: "Broker", tmp_path: Path) -> Tenant:
    """A tenant that no other test knows, with a root and a topic of its own."""
    return Tenant(spark, broker, tmp_path)
