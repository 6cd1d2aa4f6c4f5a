"""Law 7 under crashes: a real job dies by SIGKILL at each of its crash points; after the restart nothing is lost and nothing is there twice.

The restart of the stream and the build runs in the session of the tests (the same functions the jobs call), once for each job as a process.
"""

import base64
import itertools
import json
import time
from contextlib import suppress
from urllib import request
from urllib.error import HTTPError, URLError

import pytest

from millrace.errors import NothingToDo
from millrace.faults import CRASH_POINTS
from millrace.keys import read_keys
from millrace.tables.catalogue import BATCH_NODES, IDENTITY_CHANGES
from millrace.tables.ledger import read_ledger
from millrace.tables.manifest import read_manifests
from tests.faults.crashing import FaultTenant
from tests.tiers import FAULTS_LONG, SEED

pytestmark = [pytest.mark.stack, pytest.mark.spark]
SPEED = [name for name in CRASH_POINTS if name.startswith("speed.")]
BATCH = [name for name in CRASH_POINTS if name.startswith("batch.")]
COLLECTOR = [name for name in CRASH_POINTS if name.startswith("collector.")]
HITS = [1, 2, 3] if FAULTS_LONG else [2]
SEEDS = range(3 if FAULTS_LONG else 1)


def recovered(tenant: FaultTenant) -> None:
    """A clean run after the crash, with a few more messages, some of them sent again."""
    tenant.send(6)
    tenant.run_speed(1_000)
    tenant.everything_is_read()
    tenant.check_answers(tenant.some_time())


@pytest.mark.parametrize(("point", "hit", "seed"), list(itertools.product(SPEED, HITS, SEEDS)))
def test_the_stream_dies_and_the_next_run_repairs_it(point, hit, seed, tenant_of):
    tenant = tenant_of(f"{SEED}/{point}/{hit}/{seed}")
    tenant.send(16)
    overlapping = [] if (seed + SPEED.index(point)) % 2 else ["--available-now"]
    tenant.crash("stream_events", "--kafka", tenant.bootstrap, "--max-records", "6", *overlapping, crash_at=f"{point}:{hit}")
    assert read_ledger(tenant.tables).head == (hit if point == "speed.ledger_written" else hit - 1)
    tenant.check_answers(tenant.some_time())
    recovered(tenant)


def test_a_checkpoint_lost_after_a_crash_costs_nothing(tenant_of):
    """What the crash left above the head belongs to no epoch any more; the next run must not count it beside its own rows."""
    tenant = tenant_of(f"{SEED}/lost")
    tenant.send(16)
    tenant.crash("stream_events", "--kafka", tenant.bootstrap, "--max-records", "6", "--available-now", crash_at="speed.increments_written:2")
    tenant.lose("checkpoint")
    recovered(tenant)


def test_the_stream_dies_again_and_again_and_a_clean_process_repairs_it(tenant_of):
    """Each run dies at another point than the one before, so that every restart begins with another kind of wreck."""
    tenant = tenant_of(f"{SEED}/chain")
    for point in tenant.chance.sample(SPEED, len(SPEED) if FAULTS_LONG else 2):
        tenant.send(tenant.chance.randrange(7, 14))
        tenant.crash("stream_events", "--kafka", tenant.bootstrap, "--max-records", "5", "--available-now", crash_at=f"{point}:{tenant.chance.randrange(1, 3)}")
        if tenant.chance.randrange(4) == 0:
            tenant.lose("checkpoint")
        tenant.check_answers(tenant.some_time())
    with tenant.job("stream_events", "--kafka", tenant.bootstrap, "--available-now") as process:
        assert process.wait(180) == 0, tenant.said("stream_events")
    tenant.everything_is_read()
    tenant.check_answers(tenant.some_time())


def test_the_stream_killed_at_any_moment_leaves_nothing_half_done(tenant_of):
    """No crash point chooses the moment: some kills fall into a commit, some into the start."""
    tenant = tenant_of(f"{SEED}/any moment")
    for _ in range(20 if FAULTS_LONG else 2):
        head = read_ledger(tenant.tables).head
        tenant.send(12)
        with tenant.job("stream_events", "--kafka", tenant.bootstrap, "--max-records", "2") as process:
            until = time.monotonic() + 120
            while read_ledger(tenant.tables).head <= head and process.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            time.sleep(tenant.chance.random() * 0.7)
        tenant.check_answers(tenant.some_time())
    recovered(tenant)


@pytest.mark.parametrize(("point", "is_first"), [(point, is_first) for point in BATCH for is_first in ((True, False) if FAULTS_LONG else (point == BATCH[0],))])
def test_a_build_dies_and_what_is_served_stays_whole(point, is_first, tenant_of):
    tenant = tenant_of(f"{SEED}/{point}/{is_first}")
    tenant.send(14)
    tenant.run_speed(6)
    if not is_first:
        tenant.build()
        tenant.send(9)
        tenant.run_speed(1_000)
    as_of = tenant.some_time()
    before = tenant.check_answers(as_of)
    tenant.crash("build_batch", crash_at=point)
    assert tenant.check_answers(as_of) == before
    if point == "batch.manifest_written":
        with pytest.raises(NothingToDo):
            tenant.build()
    incremental = tenant.build(full=True) if point == "batch.manifest_written" else tenant.build()
    assert tenant.check_answers(as_of) == before
    assert tenant.contents(tenant.build(full=True)) == tenant.contents(incremental)
    changes_lead_to_what_serves(tenant)
    recovered(tenant)


def changes_lead_to_what_serves(tenant: FaultTenant) -> None:
    """Rows of publishes that died do not count: each change starts where the one before it ended."""
    newest = read_manifests(tenant.tables)[-1]
    rows = tenant.tables.read(IDENTITY_CHANGES).sort_by("manifest_id").to_pylist()
    served: dict[str, str] = {}
    for row in rows:
        assert served.get(row["node"]) == row["person_before"] and row["manifest_id"] <= newest.manifest_id
        served[row["node"]] = row["person_after"]
    nodes = tenant.tables.read(BATCH_NODES, version=newest.tables[BATCH_NODES.name])
    assert served == dict(zip(nodes["node"].to_pylist(), nodes["person_id"].to_pylist(), strict=True))


def test_a_build_that_died_is_made_up_by_the_next_job(tenant_of):
    tenant = tenant_of(f"{SEED}/job")
    tenant.send(10)
    tenant.run_speed(1_000)
    tenant.crash("build_batch", crash_at="batch.proved")
    with tenant.job("build_batch") as process:
        assert process.wait(180) == 0, tenant.said("build_batch")
    assert read_ledger(tenant.tables).head == tenant.store.tables.read("batch/manifest")["cut"].to_pylist()[-1]
    tenant.check_answers(tenant.some_time())


def post(tenant: FaultTenant, url: str, messages: list[dict]) -> int | None:
    """Status of a batch call; None when the collector went away without an answer."""
    body = json.dumps({"batch": messages}).encode()
    user = base64.b64encode(f"{read_keys(tenant.root, tenant.tables.tenant).write_key}:".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {user}"}
    try:
        with request.urlopen(request.Request(f"{url}/v1/batch", data=body, headers=headers), timeout=30) as answer:
            return answer.status
    except HTTPError as refused:
        return refused.code
    except (URLError, ConnectionError):
        return None


def listening(tenant: FaultTenant, after: int) -> str:
    """Where the collector listens, by a line of its log after so many bytes, once it says that the broker answers it."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        lines = (tenant.root / "collect_events.log").read_bytes()[after:].decode().splitlines()
        for url in (json.loads(line)["collector"] for line in lines if line.startswith('{"ready"') and line.endswith("}")):
            with suppress(URLError, ConnectionError), request.urlopen(f"{url}/readyz", timeout=5):
                return url
        time.sleep(0.05)
    raise AssertionError(tenant.said("collect_events"))


def collect(tenant: FaultTenant, batches: list[list[dict]], crash_at: str = "") -> list[int | None]:
    """Statuses of batches sent one after the other to one collector."""
    log = tenant.root / "collect_events.log"
    after = log.stat().st_size if log.exists() else 0
    with tenant.job("collect_events", "--listen", "127.0.0.1:0", "--kafka", tenant.bootstrap, crash_at=crash_at) as process:
        url = listening(tenant, after)
        found = [post(tenant, url, batch) for batch in batches]
        if crash_at:
            assert process.wait(60) == -9, tenant.said("collect_events")
    return found


@pytest.mark.parametrize("point", COLLECTOR)
def test_the_collector_dies_and_what_it_acknowledged_is_in_the_log(point, tenant_of):
    """The client sends again what got no answer, as every client library does."""
    tenant = tenant_of(f"{SEED}/{point}")
    batches = [
        [
            {"type": "track", "event": "Order Completed", "messageId": f"m{number}-{place}", "userId": f"u{place}", "properties": {"revenue": number + place}}
            for place in range(5)
        ]
        for number in range(3)
    ]
    statuses = collect(tenant, batches, crash_at=f"{point}:2")
    assert statuses == [200, None, None]
    again = [batch for batch, status in zip(batches, statuses, strict=True) if status != 200]
    assert collect(tenant, again) == [200] * len(again)
    tenant.read_topic()
    tenant.run_speed(1_000)
    tenant.everything_is_read()
    log, _ = tenant.check_log()
    assert sorted(event.message_id for event in log.counted) == sorted(message["messageId"] for batch in batches for message in batch)
    assert log.counts["duplicate"] == (5 if point == "collector.acknowledged" else 0)
    tenant.check_answers(tenant.some_time())
