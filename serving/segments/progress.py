"""What the follower tells of itself: a small file beside its state, written whole or not at all. following.py writes it, the API reads it."""

import os
from pathlib import Path

import msgspec

from millrace.tables.delta import TenantTables
from millrace.traits.finish import MICROS
from serving.segments.rules import Rules
from serving.segments.state import Position


class Progress(msgspec.Struct, frozen=True):
    """Memberships hold all epochs up to ``head`` and all decisions up to ``decisions``, as of ``seen_at`` (microseconds). ``pending``: segments whose new rule not
    everybody has been looked at under yet; ``waiting``: those that need traits which the served version lacks."""

    head: int
    decisions: int
    manifest_id: int | None
    batch: int
    published: int
    seen_at: int
    rules: str
    pending: list[str]
    waiting: dict[str, list[str]]
    problem: str | None

    @classmethod
    def of(cls, position: Position, rules: Rules, *, now: int, problems: dict[str, str]) -> "Progress":
        waiting = {name: list(traits) for name, traits in rules.waiting.items()}
        problem = "; ".join(problems[topic] for topic in sorted(problems)) or None
        at = (position.head, position.decisions, position.manifest_id, position.batch, position.published)
        return cls(*at, now, rules.hash, position.pending, waiting, problem)


class Teller:
    """Writes the file when something has changed, and once a second anyhow: a file that grows old tells that nobody follows."""

    def __init__(self, tables: TenantTables) -> None:
        self._path = _path(tables)
        self._told: Progress | None = None

    def tell(self, progress: Progress) -> None:
        told = self._told
        if told and progress.seen_at < told.seen_at + MICROS and msgspec.structs.replace(progress, seen_at=told.seen_at) == told:
            return
        draft = self._path.with_name(f".progress-{os.getpid()}")
        draft.write_bytes(msgspec.json.encode(progress))
        draft.replace(self._path)
        self._told = progress


def read_progress(tables: TenantTables) -> Progress | None:
    """None when no follower has ever run, or its file is of another version."""
    try:
        return msgspec.json.decode(_path(tables).read_bytes(), type=Progress)
    except (OSError, msgspec.MsgspecError):
        return None


def _path(tables: TenantTables) -> Path:
    return Path(tables.root) / tables.tenant / "segments" / "progress.json"
