"""How much the tests try. A variable raises one figure; ``make laws-long`` and ``make faults-long`` raise them all, for hours instead of minutes.

| variable | default | long tier | what it is |
|---|---|---|---|
| MILLRACE_LAWS=long | | | the long tier of tests/laws and tests/columns |
| MILLRACE_LAW_EXAMPLES | 2,000 | 100,000 | random histories of a law without a JVM (each law takes a share of them) |
| MILLRACE_STACK_HISTORIES | 20 | 500 | random histories through Kafka, stream, builds and store |
| MILLRACE_RECORDS | 600 | 20,000 | damaged Kafka records judged by Spark and by the oracle |
| MILLRACE_PAYLOADS | 100,000 | 2,000,000 | payloads of every kind of badness through collector and standardisation |
| MILLRACE_DIALECT_EXAMPLES | 300 | 50,000 | random requests of each property of the collector's dialects |
| MILLRACE_FAULTS=long | | | the long tier of tests/faults: every crash point at its first three hits with three seeds, chains through all points |
| MILLRACE_TEST_DATA | none | none | folder with data sets of others that tests read where it is there (fake_1000.csv) |
| MILLRACE_SEED | random | random | repeats a run; every run prints its own at the end |
"""

import os
import secrets
from pathlib import Path


def _figure(variable: str, usual: int, at_most: int, *, is_long: bool) -> int:
    return int(os.environ.get(variable) or (at_most if is_long else usual))


LAWS_LONG = os.environ.get("MILLRACE_LAWS") == "long"
FAULTS_LONG = os.environ.get("MILLRACE_FAULTS") == "long"
LAW_EXAMPLES = _figure("MILLRACE_LAW_EXAMPLES", 2_000, 100_000, is_long=LAWS_LONG)
STACK_HISTORIES = _figure("MILLRACE_STACK_HISTORIES", 20, 500, is_long=LAWS_LONG)
DIALECT_EXAMPLES = _figure("MILLRACE_DIALECT_EXAMPLES", 300, 50_000, is_long=LAWS_LONG)
RECORDS = _figure("MILLRACE_RECORDS", 600, 20_000, is_long=LAWS_LONG)
PAYLOADS = _figure("MILLRACE_PAYLOADS", 100_000, 2_000_000, is_long=LAWS_LONG)
TEST_DATA = Path(os.environ.get("MILLRACE_TEST_DATA") or "no such folder")
SEED = int(os.environ.get("MILLRACE_SEED") or secrets.randbelow(2**32))
