import pytest

from millrace.demo.system import MemoryWatch, process_name


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/venv/bin/python3.11", "-m", "jobs.serve_profiles", "--key", "secret"], "jobs.serve_profiles"),
        (["/usr/bin/java", "-Xmx256m", "kafka.Kafka", "server.properties"], "java kafka.Kafka"),
        (["/usr/bin/java", "-cp", "x", "Other"], "java"),
        (["sh", "-c", "secret"], "sh"),
        ([], "ended"),
    ],
)
def test_process_is_named_without_its_arguments(argv: list[str], name: str) -> None:
    assert process_name(argv) == name


def test_memory_that_was_never_looked_at_is_zero() -> None:
    assert MemoryWatch().as_dict() == {"peak_mib": 0, "processes_mib": {}}
