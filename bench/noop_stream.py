"""Kafka → noop in the platform's own session: what any stream on this machine pays before it has done anything. Prints the trigger times as a JSON list; bench/memberships.py runs it."""

import json
import sys
import time

from millrace.session import create_session


def main(bootstrap: str, topic: str, folder: str, seconds: float, warm: float) -> None:
    session = create_session("noop")
    records = session.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic).load()
    query = records.writeStream.format("noop").option("checkpointLocation", f"{folder}/checkpoint").start()
    triggers: dict[int, float] = {}
    while not query.recentProgress:
        time.sleep(0.1)
    started = time.monotonic()
    while (passed := time.monotonic() - started) < seconds:
        time.sleep(1)
        for progress in query.recentProgress if passed > warm else []:
            if progress.numInputRows:
                triggers[progress.batchId] = progress.durationMs["triggerExecution"]
    query.stop()
    session.stop()
    print(json.dumps(list(triggers.values())))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), float(sys.argv[5]))
