"""Opens the follower's state, and makes it again where it is lost or does not fit the table: memberships from serving/segment_changes; then everybody is
looked at as of its last change, which gives the timers. following.py calls it at its start."""

import logging
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from millrace.tables.catalogue import SEGMENT_CHANGES
from millrace.tables.delta import TenantTables
from millrace.traits.finish import micros
from serving.segments.delivery import Publisher, appended_batch
from serving.segments.movement import ENTERED
from serving.segments.state import Record, Row, State, fresh_state

log = logging.getLogger(__name__)


def state_folder(tables: TenantTables) -> Path:
    """``<root>/<tenant>/segments``: of one machine, to be lost at any time."""
    return Path(tables.root) / tables.tenant / "segments" / "state"


def open_state(tables: TenantTables, publisher: Publisher) -> State:
    """The state as it was left; one that is not there, or is older or newer than the table, is made from the table."""
    folder, appended = state_folder(tables), appended_batch(tables)
    state = State(folder)
    undelivered = [batch for batch, _ in state.undelivered()]
    first = undelivered[0] if undelivered else state.position.batch + 1
    if not state.is_new and first - 1 <= appended <= state.position.batch:
        return state
    is_new = state.is_new
    state.close()
    state = fresh_state(folder)
    if appended:
        published = publisher.last_published()
        _fill(state, tables, appended=appended, published=published)
        log.warning("state made again was_lost=%s batch=%d published=%d", is_new, appended, published)
    state.commit()
    return state


def _fill(state: State, tables: TenantTables, *, appended: int, published: int) -> None:
    """Memberships as the table has them. Batches of which the topic may lack something go into the outbox again."""
    rows = tables.read(SEGMENT_CHANGES).sort_by([("batch", "ascending"), ("number", "ascending")])
    since: dict[str, dict[str, int]] = {}
    columns = (rows["segment"], rows["person_id"], rows["change"], rows["at"].cast("int64"))
    for segment, person_id, change, at in zip(*(column.to_pylist() for column in columns), strict=True):
        held = since.setdefault(person_id, {})
        if change == ENTERED:
            held[segment] = at
        else:
            held.pop(segment, None)
    for person_id, held in since.items():
        state.put(person_id, Record("", max(held.values(), default=0), "", None, held), None)
    position = state.position
    for batch in range(max(published, 1), appended + 1):
        position.batch = batch - 1
        state.tell(_rows_of(rows.filter(pc.field("batch") == batch).to_pylist()))
    last = rows.filter(pc.field("batch") == appended).slice(0, 1).to_pylist()
    position.made_again = pc.max(rows["at"].cast("int64")).as_py() or 0
    position.batch, position.published = appended, max(published - 1, 0)
    position.head, position.decisions, position.rules = (last[0]["head"], last[0]["decisions"], last[0]["definitions_hash"]) if last else (0, 0, "")


def _rows_of(rows: list[dict[str, Any]]) -> list[Row]:
    times = ("at", "seen_at")
    return [Row(**{name: micros(row[name]) if name in times else row[name] for name in Row.__struct_fields__}) for row in rows]
