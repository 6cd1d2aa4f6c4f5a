"""Kafka → noop in the platform's own session: what any stream on this machine pays before it has done anything. bench/memberships.py runs it."""

import time

from bench.trigger_times import run, trigger_times
from millrace.session import create_session


def main(bootstrap: str, topic: str, folder: str, seconds: float, warm: float) -> list[float]:
    session = create_session("noop")
    records = session.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic).load()
    query = records.writeStream.format("noop").option("checkpointLocation", f"{folder}/checkpoint").start()
    while not query.recentProgress:
        time.sleep(0.1)
    found = trigger_times(query, seconds=seconds, warm=warm)
    session.stop()
    return found


if __name__ == "__main__":
    run(main)
