"""Laws 1, 2, 6, 7 and 9 on the real stack: random histories through Kafka, the streaming query, builds and the store, after each step against the oracle."""

import random
import time
from collections.abc import Iterator

import pytest
from kafka import KafkaProducer

from serving.store.base_building import build_base
from serving.store.base_folders import BaseFolders
from tests.laws.stack import GROUPS, StackTenant
from tests.tiers import SEED, STACK_HISTORIES

pytestmark = [pytest.mark.stack, pytest.mark.spark]


@pytest.fixture(scope="module")
def producer(broker) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=0)
    yield producer
    producer.close()


@pytest.fixture(autouse=True)
def bases_are_built_in_this_process(monkeypatch):
    """The child process of the store has tests of its own; starting one for each version would be most of the time here."""
    monkeypatch.setattr(BaseFolders, "_run_child", lambda folders, draft, manifest: build_base(folders._tables, manifest, draft))


@pytest.mark.parametrize("number", range(STACK_HISTORIES))
def test_after_every_step_of_a_random_history_everything_is_as_the_oracle_says(number, spark, broker, producer, tmp_path):
    chance = random.Random(f"{SEED}/{number}")
    tenant = StackTenant(spark, broker.bootstrap, tmp_path, name=f"law{SEED}x{number}x{time.time_ns()}", chance=chance, producer=producer)
    try:
        check_history(tenant, chance)
    finally:
        tenant.close()


def check_history(tenant: StackTenant, chance: random.Random) -> None:
    """Two or three rounds of messages and runs, each with a build in one place or none; at the end a full build of the same head."""
    incremental = None
    for _ in range(chance.choice((2, 2, 3))):
        tenant.send(chance.randrange(4, 24))
        tenant.run_speed(chance.choice((7, 12, 1_000)))
        tenant.everything_is_read()
        if chance.randrange(2):
            tenant.lose(chance.choice(("last commit", "last commit", "all commits", "checkpoint", "seen index")))
            if chance.randrange(2):
                tenant.send(chance.randrange(1, 8))
            tenant.run_speed(1_000)
            tenant.everything_is_read()
        as_of = tenant.some_time()
        before = tenant.check_answers(as_of)
        if chance.randrange(2):
            incremental = tenant.build()
            assert tenant.check_answers(as_of) == before, tenant.steps
        if chance.randrange(3) == 0:
            tenant.tidy()
            assert tenant.check_answers(as_of) == before, tenant.steps
    if incremental is None or incremental.cut < tenant.log()[1].head:
        incremental = tenant.build()
    full = tenant.build(full=True)
    assert full.cut == incremental.cut
    assert tenant.contents(full) == tenant.contents(incremental), tenant.steps
    tenant.check_answers(tenant.some_time())


@pytest.fixture
def tenant(spark, broker, tmp_path) -> Iterator[StackTenant]:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=0)
    found = StackTenant(spark, broker.bootstrap, tmp_path, name=f"law{SEED}x{time.time_ns()}", chance=random.Random(SEED), producer=producer)
    yield found
    found.close()
    found.producer.close()


def test_a_topic_that_grows_by_a_partition_is_read_from_the_first_offset_of_it(tenant):
    tenant.send(8)
    tenant.run_speed(5)
    tenant.add_partition()
    tenant.send(12)
    tenant.run_speed(5)
    tenant.everything_is_read()
    tenant.check_answers(tenant.some_time())
    tenant.build()
    tenant.lose("checkpoint")
    tenant.add_partition()
    tenant.send(12)
    tenant.run_speed(1_000)
    tenant.everything_is_read()
    tenant.check_answers(tenant.some_time())


@pytest.mark.parametrize("lost", ["seen index", "checkpoint", "last commit"])
def test_what_was_lost_between_two_runs_lets_no_message_count_twice(lost, tenant):
    tenant.send(16)
    tenant.run_speed(6)
    tenant.lose(lost)
    tenant.send_again()
    tenant.run_speed(9)
    tenant.everything_is_read()
    log, _ = tenant.check_log()
    assert log.counts["duplicate"] >= len(log.counted) > 0
    tenant.check_answers(tenant.some_time())


def test_new_definitions_are_answered_from_the_whole_log_after_the_next_build(tenant):
    tenant.send(10)
    tenant.run_speed(1_000)
    tenant.build()
    tenant.redefine(GROUPS[1] + GROUPS[2][:2])
    tenant.send(10)
    tenant.run_speed(6)
    tenant.everything_is_read()
    tenant.check_log()
    assert tenant.build().kind == "full"
    tenant.check_answers(tenant.some_time())
    tenant.redefine(GROUPS[1])
    tenant.send(10)
    tenant.run_speed(6)
    tenant.build()
    tenant.check_answers(tenant.some_time())
