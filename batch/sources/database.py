"""Connector of a table in PostgreSQL, by ADBC: whole, or what is new by a cursor. A part is the table, its position the largest cursor that was taken.

Rows at the position are read again: others with the same cursor may have come since. ``overlap`` goes further back, for rows that were committed late.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import adbc_driver_manager
import adbc_driver_postgresql.dbapi as postgresql
import pyarrow as pa
import pyarrow.compute as pc
import sqlglot.expressions as sql

from batch.sources.connector import Batch, Position, SourceUnavailable, Unreadable
from batch.sources.json_columns import json_column
from batch.sources.values import plain, to_json, utc
from millrace.errors import ConfigurationError
from millrace.events.pulls import JdbcPull

AT_ONCE = 20_000
"""Rows of a batch."""
_AS_JSON = {b"numeric", b"json", b"jsonb"}
"""Types that ADBC gives as text although they are more."""
_ADVICE = {
    "42P01": "there is no such table; correct `table`",
    "42703": "the table has no such column; correct `cursor`", "42501": "the user may not read the table; grant it SELECT",
}  # fmt: skip


class Table:
    """Reads one table. The password is asked of the environment when it is read."""

    def __init__(self, pull: JdbcPull) -> None:
        self._pull = pull
        if pull.password_env and pull.password_env not in os.environ:
            raise ConfigurationError(f"the environment variable {pull.password_env} is not set; it holds the password for {pull.table}")

    def batches(self, noted: Mapping[str, Position]) -> Iterator[Batch]:
        last = noted.get(self._pull.table, {}).get("cursor")
        try:
            with postgresql.connect(self._uri()) as connection, connection.cursor() as cursor:
                cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": 4 << 20})
                cursor.execute(self._query(last is not None), (self._from(last),) if last is not None else None)
                yield from self._batches(cursor.fetch_record_batch())
        except adbc_driver_manager.Error as error:
            code = getattr(error, "sqlstate", None) or type(error).__name__
            raise SourceUnavailable(f"table {self._pull.table}: {_ADVICE.get(code, 'no connection; check `url`, that the database runs and lets this machine in, `user`, and the password in the variable that `password_env` names')} ({code})") from None

    def _uri(self) -> str:
        parts = urlsplit(self._pull.url)
        secret = f":{quote(os.environ[self._pull.password_env], safe='')}" if self._pull.password_env else ""
        user = f"{quote(self._pull.user, safe='')}{secret}@" if self._pull.user else ""
        return f"postgresql://{user}{parts.netloc}{parts.path}"

    def _query(self, is_later: bool) -> str:
        query = sql.select("*").from_(sql.to_table(self._pull.table, dialect="postgres", quoted=True))
        if self._pull.cursor is None:
            return query.sql("postgres", identify=True)
        column = sql.column(self._pull.cursor, quoted=True)
        if is_later:
            query = query.where(sql.or_(sql.GTE(this=column, expression=sql.Parameter(this=sql.Literal.number(1))), sql.Is(this=column, expression=sql.null())))
        return query.order_by(sql.Ordered(this=column, nulls_first=True)).sql("postgres", identify=True)

    def _from(self, last: dict[str, Any]) -> Any:
        """The cursor that is noted, less the overlap."""
        value: Any = last["value"]
        if last["kind"] == "time":
            return datetime.fromisoformat(value) - timedelta(seconds=self._pull.overlap)
        return date.fromisoformat(value) - timedelta(seconds=self._pull.overlap) if last["kind"] == "date" else value

    def _batches(self, reader: pa.RecordBatchReader) -> Iterator[Batch]:
        """A table that is read whole has one position, after its last batch."""
        place, last = 0, None
        name, as_of = self._pull.table, datetime.now(UTC)
        for part in _sized(reader):
            rows = pa.Table.from_batches([part])
            unreadable: tuple[Unreadable, ...] = ()
            if self._pull.cursor is not None:
                is_null = pc.is_null(rows[self._pull.cursor])
                unreadable = tuple(Unreadable(place, "missing_cursor", to_json(plain(row, utc)).decode()) for row in rows.filter(is_null).to_pylist())
                rows = rows.filter(pc.invert(is_null))
            position = {"cursor": _kept(rows[self._pull.cursor][-1].as_py())} if self._pull.cursor is not None and len(rows) else None
            if self._pull.cursor is None and last is not None:
                yield last
            last = Batch(name, _as_json(rows), as_of, position, place, unreadable)
            if self._pull.cursor is not None:
                yield last
            place += len(part)
        if self._pull.cursor is None:
            last = last or Batch(name, pa.table({}), as_of)
            yield Batch(name, last.rows, as_of, {"read_at": as_of.isoformat()}, last.place, is_whole=True)


def _sized(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        for start in range(0, len(batch), AT_ONCE):
            yield batch.slice(start, AT_ONCE)


def _kept(value: Any) -> dict[str, Any]:
    """A cursor as JSON keeps it."""
    kind = "time" if isinstance(value, datetime) else "date" if isinstance(value, date) else "plain"
    return {"kind": kind, "value": value if kind == "plain" else value.isoformat()}


def _as_json(rows: pa.Table) -> pa.Table:
    """Exact numbers and JSON values of the database as what they are."""
    columns = {}
    for field in rows.schema:
        column = rows[field.name]
        if (field.metadata or {}).get(b"ADBC:postgresql:typname") in _AS_JSON:
            texts = pc.fill_null(column.cast(pa.string()), "null").combine_chunks()
            column = json_column(texts)
        columns[field.name] = column
    return pa.table(columns)
