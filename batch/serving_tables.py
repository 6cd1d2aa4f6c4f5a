"""All open tables of serving/ that follow the log, in the order in which they stand on each other. Jobs and the runner call ``write_serving_tables``."""

from collections.abc import Callable, Mapping

from batch.keyed_rows import publish_rows
from batch.members import publish_members
from batch.profiles import Session, publish_profiles, refresh_profiles
from millrace.definitions import Definitions
from millrace.errors import NothingToDo
from millrace.settings import BatchSettings
from millrace.tables.delta import TenantTables


def write_serving_tables(
    session: Session, tables: TenantTables, *, settings: BatchSettings, definitions: Definitions | None = None, touched: bool = False
) -> dict[str, int]:
    """Rows written, by table. ``touched``: only the profiles that something has touched since the last time. ``definitions``: the newest ones, for memberships.
    NothingToDo when every table holds what it would get."""
    profiles = refresh_profiles if touched else publish_profiles
    return _counted(
        {
            "profiles": lambda: profiles(session, tables, settings=settings),
            "segment_members": lambda: publish_members(tables, definitions=definitions),
            "views": lambda: publish_rows(session, tables, settings=settings),
        }
    )


def _counted(writers: Mapping[str, Callable[[], int]]) -> dict[str, int]:
    """What each wrote, in turn; those with nothing to do are left out."""
    counts: dict[str, int] = {}
    nothing: NothingToDo | None = None
    for name, write in writers.items():
        try:
            counts[name] = write()
        except NothingToDo as error:
            nothing = nothing or error
    if nothing is not None and not counts:
        raise nothing
    return counts
