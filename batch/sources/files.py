"""Connector of files: CSV, JSON lines and Parquet in a folder or an object store. A part is a file, its position what the file was when it was read.

A file whose size, time and content are as noted is not read again; one that grew or changed is read from its beginning: what is the same in it changes nothing.
"""

import csv
import fnmatch
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from batch.sources.connector import Batch, Position, SourceUnavailable, Unreadable
from batch.sources.json_columns import json_table
from millrace.errors import ConfigurationError
from millrace.events.pulls import FilesPull

AT_ONCE = 20_000
"""Rows of a batch."""
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_Row = list[Any] | dict[str, Any] | Unreadable


class Files:
    """Reads the files that are new or have changed. ``waiting``: files that are too young to be read."""

    def __init__(self, pull: FilesPull) -> None:
        self._pull, self.waiting = pull, 0
        if "://" not in pull.path:
            self._store, self._folder = LocalFileSystem(), str(Path(pull.path).absolute())
            return
        try:
            self._store, self._folder = FileSystem.from_uri(pull.path)
        except (OSError, ValueError, pa.ArrowException) as error:
            raise ConfigurationError(f"path {pull.path}: {type(error).__name__}; a folder or the URL of one is needed, such as s3://bucket/folder") from None

    def batches(self, noted: Mapping[str, Position]) -> Iterator[Batch]:
        refused: list[str] = []
        for file in self._found():
            try:
                yield from self._changed(file, noted)
            except SourceUnavailable as error:  # one file keeps no other from being read
                refused.append(str(error))
        if refused:
            raise SourceUnavailable("; ".join(refused))

    def _changed(self, file: FileInfo, noted: Mapping[str, Position]) -> Iterator[Batch]:
        """The batches of a file that is not as it was noted."""
        name = file.path.removeprefix(self._folder).lstrip("/")
        last = noted.get(name)
        if last and (last["size"], last["modified"]) == (file.size, file.mtime_ns):
            return
        position = {"size": file.size, "modified": file.mtime_ns, "digest": self._digest(file)}
        if not last or last["digest"] != position["digest"]:
            yield from self._batches(file, name, position)

    def _found(self) -> list[FileInfo]:
        """Files by age."""
        try:
            files = [one for one in self._store.get_file_info(FileSelector(self._folder, recursive=True)) if one.type == FileType.File]
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"the folder {self._pull.path} cannot be read ({type(error).__name__}); make it, or correct `path` in sources.yml") from None
        pattern = self._pull.glob
        matching = [one for one in files if fnmatch.fnmatchcase(one.path.removeprefix(self._folder).lstrip("/") if "/" in pattern else one.base_name, pattern)]
        youngest = datetime.now(UTC).timestamp() - self._pull.quiet
        ready = [one for one in matching if (one.mtime_ns or 0) / 1e9 <= youngest]
        self.waiting = len(matching) - len(ready)
        return sorted(ready, key=lambda one: (one.mtime_ns or 0, one.path))

    def _digest(self, file: FileInfo) -> str:
        try:
            with self._store.open_input_stream(file.path, compression=None) as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"{file.base_name} cannot be read ({type(error).__name__}); let this user read it") from None

    def _batches(self, file: FileInfo, name: str, position: Position) -> Iterator[Batch]:
        as_of = datetime.fromtimestamp((file.mtime_ns or 0) // 1_000 / 1e6, UTC)
        waiting: Batch | None = None
        place = 0
        for columns, rows in self._read(file, name):
            if waiting is not None:
                yield waiting
            waiting = _batch(name, columns, rows, place, as_of)
            place += len(rows)
        now = self._store.get_file_info(file.path)
        if (now.size, now.mtime_ns) != (file.size, file.mtime_ns):
            raise SourceUnavailable(f"{name} changed while it was read; start the job again when it is written, or raise `quiet` in sources.yml")
        last = waiting or Batch(name, pa.table({}), as_of)
        yield Batch(name, last.rows, as_of, position, last.place, last.unreadable, is_whole=True)

    def _read(self, file: FileInfo, name: str) -> Iterator[tuple[list[str] | None, list[_Row] | pa.Table]]:
        """Runs of rows, with the names of their columns where the rows do not have them."""
        try:
            if self._pull.format == "parquet":
                with self._store.open_input_file(file.path) as stream:
                    yield from ((None, pa.Table.from_batches([one])) for one in pq.ParquetFile(stream).iter_batches(AT_ONCE))
                return
            with self._store.open_input_stream(file.path) as stream:  # behind its compression, by the name's ending
                if self._pull.format == "csv":
                    yield from self._csv(stream, name)
                else:
                    rows = (_read_object(number, line) for number, line in enumerate(io.BufferedReader(stream)) if line.strip())
                    while some := list(islice(rows, AT_ONCE)):
                        yield None, some
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"{name} cannot be read as {self._pull.format} ({type(error).__name__}); send it again, or correct `format` in sources.yml") from None

    def _csv(self, stream: BinaryIO, name: str) -> Iterator[tuple[list[str], list[_Row]]]:
        encoding = "utf-8-sig" if self._pull.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else self._pull.encoding
        text = io.TextIOWrapper(stream, encoding=encoding, errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=self._pull.delimiter, quotechar=self._pull.quote, strict=True)
        header = next(reader, [])
        if len(set(header)) < len(header):
            raise SourceUnavailable(f"{name} names a column twice: {', '.join(sorted({one for one in header if header.count(one) > 1}))}; give each a name of its own")
        rows = _csv_rows(reader, header, name)
        while some := list(islice(rows, AT_ONCE)):
            yield header, some


def _csv_rows(reader: Any, header: list[str], name: str) -> Iterator[_Row]:
    number = 0
    while True:
        started = reader.line_num
        try:
            row = next(reader, None)
        except csv.Error as error:
            if "unexpected end of data" in str(error):  # the rest of the file is in one field
                raise SourceUnavailable(f"{name}: a quote that opens in line {started + 1} is never closed; send the file again, or correct `quote` in sources.yml") from None
            yield Unreadable(number, "malformed_row", f"line {started + 1}: {error}")
            number += 1
            continue
        if row is None:
            return
        if not row:
            continue
        if len(row) != len(header):
            yield Unreadable(number, "wrong_number_of_fields", _shown(row))
        elif any("\udc80" <= letter <= "\udcff" for field in row if not field.isascii() for letter in field):
            yield Unreadable(number, "wrong_encoding", _shown(row))
        else:
            yield row
        number += 1


def _shown(row: list[str]) -> str:
    """The fields as JSON; bytes that are no text as \\xNN."""
    return json.dumps([field.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for field in row], ensure_ascii=False)


def _read_object(number: int, line: bytes) -> _Row:
    try:
        line.decode()
        return _object.decode(line) or Unreadable(number, "empty_row", "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Unreadable(number, "malformed_row", line.decode("utf-8", "backslashreplace").rstrip("\n"))


def _batch(part: str, columns: list[str] | None, rows: Any, place: int, as_of: datetime) -> Batch:
    """The rows as Arrow, those that are none beside them."""
    if isinstance(rows, pa.Table):
        return Batch(part, rows, as_of, place=place)
    bad = tuple(one for one in rows if isinstance(one, Unreadable))
    good = [one for one in rows if not isinstance(one, Unreadable)]
    if columns is not None:
        table = pa.table({name: pa.array([row[number] or None for row in good], pa.string()) for number, name in enumerate(columns)})
    else:
        table = json_table(good)
    return Batch(part, table, as_of, place=place, unreadable=bad)
