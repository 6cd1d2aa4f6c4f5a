"""What the watch of data health tells of itself: a small file, written whole or not at all. following.py writes it, the API reads it."""

import os
from pathlib import Path

import msgspec

from millrace.tables.delta import TenantTables


class Progress(msgspec.Struct, frozen=True):
    """``head``: last epoch counted; ``window``: end of the last window that is final (seconds since 1970), None before the first; ``seen_at``: when it last looked
    (microseconds); ``last``: by source, when the broker received its newest record (microseconds); ``breached``: by source whose promise is broken, since when."""

    head: int
    window: int | None
    seen_at: int
    last: dict[str, int]
    breached: dict[str, int]
    promises: dict[str, float]
    problem: str | None


def folder_of(tables: TenantTables) -> Path:
    """``<root>/<tenant>/data_health``: of one machine, to be lost at any time."""
    return Path(tables.root) / tables.tenant / "data_health"


def tell_progress(tables: TenantTables, progress: Progress) -> None:
    """Replaces the file."""
    folder = folder_of(tables)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".progress-{os.getpid()}"
    draft.write_bytes(msgspec.json.encode(progress))
    draft.replace(folder / "progress.json")


def read_progress(tables: TenantTables) -> Progress | None:
    """None when nobody has ever watched, or the file is of another version."""
    try:
        return msgspec.json.decode((folder_of(tables) / "progress.json").read_bytes(), type=Progress)
    except (OSError, msgspec.MsgspecError):
        return None
