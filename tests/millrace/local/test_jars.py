"""The locked jars: what is refused, and with which fix. Nothing here needs a network."""

import hashlib
from pathlib import Path

import pytest

from millrace.errors import SetupError
from millrace.local import fetch, jars

CONTENT = b"a jar"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lock of one jar a set; gives the folder of the ``spark`` set, still empty."""
    lock = tmp_path / "jars.lock"
    lock.write_text(f"# comment\nspark  org.example:thing_2.13:1.0  {len(CONTENT)}  {SHA256}\nkafka  org.b_c:other:2.0  {len(CONTENT)}  {SHA256}\n")
    monkeypatch.setattr(jars, "JARS_LOCK", lock)
    monkeypatch.setattr(fetch, "JARS_LOCK", lock)
    monkeypatch.setenv("MILLRACE_JARS", str(tmp_path / "jars"))
    return tmp_path / "jars" / "spark"


class FakeResolver:
    """Stands where Spark's Maven utilities stand: gives every coordinate a file with ``content``."""

    def __init__(self, folder: Path, content: bytes) -> None:
        self.folder, self.content, self.asked = folder, content, []

    def __enter__(self) -> "FakeResolver":
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def resolve(self, coordinates: list[str], *, transitive: bool) -> dict[str, Path]:
        self.asked.append((list(coordinates), transitive))
        path = self.folder / "downloaded.jar"
        path.write_bytes(self.content)
        return dict.fromkeys(coordinates, path)


def test_missing_jars_are_refused_with_the_command_that_fetches_them(locked: Path) -> None:
    with pytest.raises(SetupError, match=r"1 of 1 spark jars are missing.*thing_2\.13-1\.0\.jar.*run `make jars`"):
        jars.spark_jars()


def test_a_jar_of_another_size_is_refused(locked: Path) -> None:
    locked.mkdir(parents=True)
    (locked / "thing_2.13-1.0.jar").write_bytes(CONTENT + b"!")
    with pytest.raises(SetupError, match="not the locked ones"):
        jars.spark_jars()


def test_fetched_jars_are_the_class_path(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = FakeResolver(tmp_path, CONTENT)
    monkeypatch.setattr(fetch, "maven_resolver", lambda: resolver)
    fetch.fetch_jars()
    assert jars.spark_jars() == [locked / "thing_2.13-1.0.jar"]
    assert resolver.asked == [(["org.example:thing_2.13:1.0"], False), (["org.b_c:other:2.0"], False)]


def test_jars_that_are_right_are_not_fetched_again(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = FakeResolver(tmp_path, CONTENT)
    monkeypatch.setattr(fetch, "maven_resolver", lambda: resolver)
    fetch.fetch_jars()
    fetch.fetch_jars()
    assert len(resolver.asked) == 2


def test_a_download_with_another_sha256_is_refused_and_not_kept(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "maven_resolver", lambda: FakeResolver(tmp_path, b"A jar"))
    with pytest.raises(SetupError, match="sha256"):
        fetch.fetch_jars()
    assert list(locked.iterdir()) == []


def test_a_jar_damaged_on_disk_is_fetched_again(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "maven_resolver", lambda: FakeResolver(tmp_path, CONTENT))
    fetch.fetch_jars()
    (locked / "thing_2.13-1.0.jar").write_bytes(b"A jar")
    fetch.fetch_jars()
    assert (locked / "thing_2.13-1.0.jar").read_bytes() == CONTENT


def test_a_line_the_lock_cannot_mean_is_named(locked: Path) -> None:
    jars.JARS_LOCK.write_text("spark org.example:thing:1.0 five abc\n")
    with pytest.raises(SetupError, match=r"jars\.lock:1 "):
        jars.spark_jars()


def test_the_lock_holds_what_the_sets_ask_for() -> None:
    for name, wanted in fetch.SETS.items():
        assert set(wanted.roots) <= {jar.coordinate for jar in jars.read_lock(name)}


def test_the_spark_set_brings_no_second_copy_of_what_spark_has() -> None:
    artifacts = [jar.coordinate for jar in jars.read_lock("spark")]
    assert not [name for name in artifacts if any(word in name for word in ("hadoop-client", "parquet", "jackson", "log4j", "slf4j", "zstd", "lz4", "snappy"))]
