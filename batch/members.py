"""``serving/segment_members``: who belongs to which segment, from the rows of serving/profiles as they are, in one commit. Jobs and the runner call it after the profiles.

All segments of all persons are judged each time (DuckDB, column by column): a rule may look at the time, so that persons turn whom no event touches.
A ``percentile`` is settled once for each batch version, from everybody's values at that moment, and written down: until the next version a person is
measured against that threshold, here as in live answers.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.errors import NothingToDo
from millrace.expressions.duckdb_form import DuckForm, column_of, identifier
from millrace.expressions.tree import MOST_INTEGER
from millrace.segments import PERSON_NAME, CompiledSegment, Threshold, compile_segments, trait_types
from millrace.tables.catalogue import SEGMENT_MEMBERS, SEGMENT_THRESHOLDS, profiles_table
from millrace.tables.delta import TenantTables, conform
from millrace.tables.manifest import latest_manifest
from millrace.traits.algebra import SCALE, UNIT, scaled
from millrace.traits.finish import micros

log = logging.getLogger(__name__)
_RECEIPT = ("manifest_id", "cut", "head", "decisions", "definitions_hash")


def publish_members(tables: TenantTables, *, as_of: datetime | None = None, definitions: Definitions | None = None) -> int:
    """Replaces the memberships by those of serving/profiles at ``as_of`` (now); returns their number. ``definitions``: the newest ones; where their traits are not
    those of the batch version, the version's own count. NothingToDo without segments, before the first publish, and when nothing can have changed."""
    manifest = latest_manifest(tables)
    if manifest is None:
        raise NothingToDo("no batch version is published yet; run `python -m jobs.build_batch` first")
    definitions = definitions if definitions and definitions.hash == manifest.definitions_hash else manifest.definitions
    segments = compile_segments(definitions)
    former = tables.open(SEGMENT_MEMBERS)
    if not segments and former is None:
        raise NothingToDo("no segments are declared in segments.yml")
    names = sorted({name for segment in segments for name in segment.traits} - {PERSON_NAME})
    profiles = tables.read(profiles_table(definitions.views["person"]), columns=["person_id", *names, *_RECEIPT])
    if pc.unique(profiles["manifest_id"]).to_pylist() not in ([], [manifest.manifest_id]):
        raise NothingToDo(f"serving/profiles does not stand on manifest {manifest.manifest_id} yet; publish it first")
    as_of = as_of or datetime.now(UTC)
    receipt = _receipt(profiles, definitions, as_of, manifest_id=manifest.manifest_id, cut=manifest.cut)
    if former is not None and not any(segment.looks_at_now for segment in segments) and _is_written(tables, receipt):
        raise NothingToDo("serving/segment_members holds what serving/profiles says already")
    thresholds = settled_thresholds(tables, profiles, segments, definitions=definitions, receipt=receipt)
    found = members_of(profiles, segments, now=micros(as_of), thresholds=thresholds)
    for name, value in receipt.items():
        found = found.append_column(name, pa.repeat(pa.scalar(value, SEGMENT_MEMBERS.schema.field(name).type), len(found)))
    tables.replace(SEGMENT_MEMBERS, conform(found, SEGMENT_MEMBERS.schema))
    log.info("segment members published segments=%d rows=%d head=%d", len(segments), len(found), receipt["head"])
    return len(found)


def members_of(profiles: pa.Table, segments: tuple[CompiledSegment, ...], *, now: int, thresholds: Mapping[Threshold, Any]) -> pa.Table:
    """One row (segment, person_id) a membership. ``profiles``: person_id and the traits of the segments; ``now``: microseconds."""
    form = DuckForm(leaf=_leaf, segment=_column, thresholds=thresholds)
    truths = [f"coalesce({form.sql(segment.tree)}, false) AS {_column(segment.name)}" for segment in segments]
    timely = any(node.looks_at_now for node in (segment.tree for segment in segments))
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("profiles", profiles)
        sql = f"SELECT {', '.join(['person_id', *truths])} FROM profiles"  # nested segments stand before those that name them
        judged = connection.execute(sql, {"now": now} if timely else None).to_arrow_table()
    parts = []
    for segment in segments:
        persons = judged["person_id"].filter(judged[f"in {segment.name}"]).combine_chunks().cast(pa.string())
        parts.append(pa.table({"segment": pa.repeat(segment.name, len(persons)), "person_id": persons}))
    return pa.concat_tables([pa.table({"segment": pa.array([], pa.string()), "person_id": pa.array([], pa.string())}), *parts])


def settled_thresholds(
    tables: TenantTables, profiles: pa.Table, segments: tuple[CompiledSegment, ...], *, definitions: Definitions, receipt: Mapping[str, Any]
) -> dict[Threshold, int]:
    """Thresholds of all percentiles: as written for this batch version, or settled from the profiles now and written."""
    needed = list(dict.fromkeys(key for segment in segments for key in segment.thresholds))
    if not needed:
        return {}
    written = read_thresholds(tables, manifest_id=receipt["manifest_id"])
    if missing := [key for key in needed if key not in written]:
        types = trait_types(definitions.views["person"])
        rows = [_settle(profiles[key[0]], key, is_number=types[key[0]] == "number") for key in missing]
        columns = {
            name: pa.repeat(pa.scalar(receipt[name], SEGMENT_THRESHOLDS.schema.field(name).type), len(rows))
            for name in ("as_of", "manifest_id", "head", "definitions_hash")
        }
        added = pa.Table.from_pylist(rows, schema=pa.schema([field for field in SEGMENT_THRESHOLDS.schema if field.name not in columns]))
        for name, values in columns.items():
            added = added.append_column(name, values)
        tables.create(SEGMENT_THRESHOLDS)
        tables.add(SEGMENT_THRESHOLDS, added)
        written = read_thresholds(tables, manifest_id=receipt["manifest_id"])
    types = trait_types(definitions.views["person"])
    return {key: _as_typed(written[key], types[key[0]]) for key in needed}


def _as_typed(threshold: int | None, type: str) -> int:
    """Where nobody is so high, the largest number there is: who has a value is below it."""
    if threshold is None:
        return 10**38 - 1 if type == "number" else MOST_INTEGER
    return threshold if type == "number" else threshold // UNIT


def read_thresholds(tables: TenantTables, *, manifest_id: int) -> dict[Threshold, int | None]:
    """Thresholds settled for a batch version, scaled by 10**9; None where nobody is so high."""
    if tables.open(SEGMENT_THRESHOLDS) is None:
        return {}
    rows = tables.read(SEGMENT_THRESHOLDS, where=pc.field("manifest_id") == manifest_id).to_pylist()
    return {(row["trait"], row["comparison"], scaled(row["share"])): None if row["threshold"] is None else scaled(row["threshold"]) for row in rows}


def _settle(values: pa.ChunkedArray, key: Threshold, *, is_number: bool) -> dict[str, Any]:
    """The least known value below which at least (``reaches``; ``passes``: more than) that share of all known values are."""
    trait, comparison, share = key
    known = sorted(scaled(value) if is_number else value * UNIT for value in values.to_pylist() if value is not None)
    needed = -(-share * len(known) // UNIT) if comparison == "reaches" else share * len(known) // UNIT + 1
    firsts = (value for place, value in enumerate(known) if place >= needed and known[place - 1] != value)
    found = next(firsts, None)
    with localcontext(prec=60):
        threshold = None if found is None else Decimal(found).scaleb(-SCALE)
        return {"trait": trait, "comparison": comparison, "share": Decimal(share).scaleb(-SCALE), "threshold": threshold, "known_count": len(known)}


def _receipt(profiles: pa.Table, definitions: Definitions, as_of: datetime, *, manifest_id: int, cut: int) -> dict[str, Any]:
    return {
        "as_of": as_of, "manifest_id": manifest_id, "cut": cut, "head": pc.max(profiles["head"]).as_py() or cut,
        "decisions": pc.max(profiles["decisions"]).as_py() or 0, "definitions_hash": definitions.hash, "segments_hash": definitions.segments_hash,
    }  # fmt: skip


def _is_written(tables: TenantTables, receipt: Mapping[str, Any]) -> bool:
    columns = ["manifest_id", "head", "decisions", "segments_hash"]
    rows = tables.read(SEGMENT_MEMBERS, columns=columns).group_by(columns).aggregate([]).to_pylist()
    return rows == [{name: receipt[name] for name in columns}]


def _leaf(name: str, type: str) -> str:
    return column_of("person_id" if name == PERSON_NAME else name, type)


def _column(name: str) -> str:
    """No trait has a name like this one."""
    return identifier(f"in {name}")
