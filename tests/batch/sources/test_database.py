"""Tables of a real PostgreSQL: what is new by a cursor, ties and late commits, whole tables, exact values; secrets stay out of what is said."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgresql
import pytest

BINARIES = next((path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True) if (path / "initdb").exists()), None)
pytestmark = pytest.mark.skipif(BINARIES is None, reason="no PostgreSQL server under /usr/lib/postgresql (Debian and Ubuntu: apt-get install postgresql)")
USER = "nobody" if os.geteuid() == 0 else None
SECRET = "g3heim word"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server of the run's own, on loopback, as a user without rights."""
    folder = tmp_path_factory.mktemp("postgres")
    data, secret = folder / "data", folder / "secret"
    secret.write_text(SECRET)
    if USER:
        for path in (folder, secret):
            shutil.chown(path, USER)
        for path in folder.parents:
            if path.owner() == "root" and path.is_relative_to("/tmp") and path != Path("/tmp"):
                path.chmod(path.stat().st_mode | 0o011)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = lambda name, *more: subprocess.run([BINARIES / name, "-D", data, *more], user=USER, cwd=folder, check=True, capture_output=True)  # noqa: E731
    run("initdb", "-U", "shop", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync")
    run("pg_ctl", "start", "-w", "-l", folder / "log", "-o", f"-h 127.0.0.1 -p {port} -k {folder} -F")
    yield port
    run("pg_ctl", "stop", "-m", "immediate")


@pytest.fixture
def execute(server: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Runs a statement in the database."""
    monkeypatch.setenv("SHOP_DB_PASSWORD", SECRET)

    def run(text: str) -> None:
        with postgresql.connect(f"postgresql://shop:{SECRET.replace(' ', '%20')}@127.0.0.1:{server}/postgres", autocommit=True) as connection, connection.cursor() as cursor:
            for statement in text.split(";"):
                cursor.execute(statement)

    run('DROP TABLE IF EXISTS "Customers"; CREATE TABLE "Customers" (id bigint, city text, balance numeric(12, 3), more jsonb, changed timestamptz)')
    return run


@pytest.fixture
def crm(server: int) -> dict[str, object]:
    where = {"url": f"postgresql://127.0.0.1:{server}/postgres", "user": "shop", "password_env": "SHOP_DB_PASSWORD", "table": "Customers"}
    return {"kind": "jdbc", **where, "cursor": "changed", "entity": "customers", "key": ["id"], "changed_at": "changed"}


def test_only_what_is_new_is_read_and_values_are_exact(pulled, execute, crm, history_of):
    pulled.declare(crm=crm)
    execute("""INSERT INTO "Customers" VALUES (1, 'Bonn', 1234567.891, '{"a": [1, 2.50]}', '2026-01-01Z'), (2, NULL, NULL, NULL, '2026-01-02Z')""")
    assert pulled.pull()["taken"] == 2
    assert [row["attributes"] for row in pulled.versions()] == [{"id": 1, "city": "Bonn", "balance": 1234567.891, "more": {"a": [1, 2.5]}}, {"id": 2}]
    execute("""INSERT INTO "Customers" VALUES (1, 'Kiel', 1, NULL, '2026-02-01Z')""")
    later = pulled.pull()
    assert (later["received"], later["taken"], later["unchanged"]) == (2, 1, 1)
    assert history_of("1", "city") == [("Bonn", "01-01", "02-01"), ("Kiel", "02-01", None)]


def test_a_row_with_the_cursor_that_was_read_last_and_one_committed_late_are_found(pulled, execute, crm):
    pulled.declare(crm=crm | {"overlap": "1h"})
    execute("""INSERT INTO "Customers" VALUES (1, 'Bonn', 1, NULL, '2026-01-01 12:00Z')""")
    pulled.pull()
    execute("""INSERT INTO "Customers" VALUES (2, 'Ulm', 1, NULL, '2026-01-01 12:00Z'), (3, 'Aue', 1, NULL, '2026-01-01 11:30Z')""")
    assert pulled.pull()["taken"] == 2
    assert [row["key"] for row in pulled.versions()] == ["1", "2", "3"]


def test_a_row_without_a_cursor_is_rejected_once_rather_than_never_seen(pulled, execute, crm):
    pulled.declare(crm=crm)
    execute("""INSERT INTO "Customers" VALUES (1, 'Bonn', 1, NULL, NULL), (2, 'Ulm', 1, NULL, '2026-01-01Z')""")
    assert [pulled.pull()["reasons"] for _ in range(2)] == [{"missing_cursor": 1}] * 2
    assert [(row["reason"], "Bonn" in row["original"]) for row in pulled.rejected()] == [("missing_cursor", True)]


def test_a_whole_table_as_a_snapshot_deletes_what_is_gone(pulled, execute, crm):
    pulled.declare(crm={name: value for name, value in crm.items() if name not in ("cursor", "changed_at")} | {"snapshot": True})
    execute("""INSERT INTO "Customers" VALUES (1, 'Bonn', 1, NULL, NULL), (2, 'Ulm', 1, NULL, NULL)""")
    pulled.pull()
    execute("""DELETE FROM "Customers" WHERE id = 1""")
    assert (counts := pulled.pull())["deletes"] == 1 and counts["unchanged"] == 1
    assert [(row["key"], row["deleted"]) for row in pulled.versions() if row["is_current"]] == [("1", True), ("2", False)]


@pytest.mark.parametrize(("more", "sentence"), [({"table": "no"}, "there is no such table"), ({"cursor": "no"}, "no such column"), ({"user": "other"}, "no connection; check `url`"), ({"password_env": "NOT_SET"}, "NOT_SET is not set")])
def test_what_is_wrong_is_told_without_the_secret(pulled, execute, crm, more, sentence):
    pulled.declare(crm=crm | more)
    counts = pulled.pull()
    assert sentence in counts.get("error", pulled.err)
    said = str(counts) + pulled.err + str(pulled.tables.read("ops/runs").to_pylist())
    assert SECRET not in said and "g3heim" not in said
