"""Changes go to the partition that any client of Kafka would choose for the person."""

import pytest

from serving.segments.delivery import partition_of


@pytest.mark.parametrize(("key", "hashed"), [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536)])
def test_partitions_are_those_of_the_java_client(key: str, hashed: int) -> None:
    """Hashes as Kafka's own tests have them (UtilsTest.testMurmur2)."""
    assert [partition_of(key, partitions) for partitions in (1, 7, 12)] == [(hashed & 0x7FFFFFFF) % partitions for partitions in (1, 7, 12)]
