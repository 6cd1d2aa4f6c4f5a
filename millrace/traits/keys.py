"""Keys of views: whom or what the rows of a view are about. A person's node, or what events say at paths: a store, a campaign, a day with a currency.

views.py declares them. The fold (fold.py) makes rows of events by them; the store and the tables of serving/ take the text of a key apart again.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.enrichment.paths import families_of, is_known, unknown_path
from millrace.traits.lines import LINE_PATH
from millrace.traits.zones import days_text, local_days

NODE = "node"
DATE = "event_date"
"""The local day of an event in the time zone of the view, as YYYY-MM-DD."""
LONGEST_KEY = 400
"""Bytes of a key in UTF-8; an event with a longer one does not count in the view."""
_PART = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_PATH = re.compile(rf"^(properties|traits|context|enriched)(\.[A-Za-z0-9_$-]+)+$|{LINE_PATH.pattern}|^(name|type|source|{DATE})$")
Paths = dict[str, str]


@dataclass(frozen=True)
class Key:
    """``parts``: (name, path) of what makes a key, in order of the names; none: the node that owns the event. ``zone``: whose days ``event_date`` speaks of. ``rules``:
    digests of those under which its enriched values are computed."""

    parts: tuple[tuple[str, str], ...] = ()
    zone: str = "UTC"
    rules: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.parts)

    @property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """(path, type) of every value it reads of an event."""
        return tuple((path, "string") for _, path in self.parts if path != DATE)

    @property
    def families(self) -> tuple[str, ...]:
        """Families of enriched values it reads."""
        return families_of(path for _, path in self.parts)

    def under(self, digests: Sequence[str]) -> "Key":
        """The key as it is under rules of enriched values."""
        return replace(self, rules=tuple(digests))

    def texts(self, columns: Sequence[pa.Array], times: pa.Array) -> pa.Array:
        """The key of each event; null where a part is absent or empty, or the whole too long. ``columns``: of ``reads``; ``times``: when the events happened."""
        values = iter(columns)
        found = [_dates(self.zone, times) if path == DATE else next(values) for _, path in self.parts]
        text = found[0] if len(found) == 1 else _tuples(found)
        is_usable = pc.and_(pc.not_equal(text, ""), pc.less_equal(pc.binary_length(text), LONGEST_KEY))
        return pc.if_else(is_usable, text, pa.scalar(None, pa.string()))

    def text(self, values: Mapping[str, str]) -> str:
        """The key that has these parts, by name."""
        found = [values[name] for name in self.names]
        return found[0] if len(found) == 1 else _spelt(found)

    def values(self, text: str) -> list[str]:
        """The parts of a key, in the order of ``names``."""
        return [text] if len(self.parts) == 1 else json.loads(text)


def _dates(zone: str, times: pa.Array) -> pa.Array:
    days = local_days(zone, times.cast(pa.int64()).to_numpy() // 1_000_000)
    different, places = np.unique(days, return_inverse=True)
    return pa.array(days_text(different.tolist()), pa.string()).take(pa.array(places))


def _tuples(columns: Sequence[pa.Array]) -> pa.Array:
    """As JSON lists, null where a part is null or empty. Each different tuple is spelt once."""
    spelt: dict[tuple[str | None, ...], str | None] = {}
    rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
    for row in set(rows):
        spelt[row] = _spelt(row) if all(row) else None
    return pa.array([spelt[row] for row in rows], pa.string())


def _spelt(values: Sequence[str | None]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def as_paths(found: object) -> object:
    """A key as declared, ``node``, a path, a list of paths or paths by name, in the form of a view: ``node`` or paths by name. Others as they are."""
    if found == NODE or (isinstance(found, dict) and all(isinstance(path, str) for path in found.values())):
        return found
    paths = [found] if isinstance(found, str) else found
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise ValueError("a key is node, a path such as properties.store_id, a list of paths, or paths by name: `key: {store: properties.store_id, day: event_date}`")
    named = [(path.rpartition(".")[2].lower(), path) for path in paths]
    if len(dict(named)) < len(named):
        raise ValueError(f"two parts of key {', '.join(paths)} have the same name; name them yourself: `key: {{one: {paths[0]}, other: {paths[-1]}}}`")
    return dict(named)


def key_problems(paths: Paths, *, taken: Sequence[str]) -> Iterator[str]:
    """What is wrong with paths by name. ``taken``: names of other columns of the view's table."""
    if not paths:
        yield "key needs at least one path, such as properties.store_id"
    for name, path in paths.items():
        if not _PART.match(name):
            yield f"part {name!r} of the key needs another name: lower-case letters, digits and _, starting with a letter; write `key: {{a_name: {path}}}`"
        elif name in taken:
            yield f"part {name!r} of the key is a column that the view's table has anyway; write `key: {{another_name: {path}}}`"
        if not _PATH.match(path):
            yield f"key {path!r} is no path: allowed are node, properties.… (properties.products[].product_id for each entry of a list), traits.…, context.…, enriched.…, name, type, source, {DATE}"
        elif not is_known(path):
            yield f"key {unknown_path(path)}"


def key_of(paths: Any, zone: str) -> Key:
    """The key of a view's declaration."""
    return Key() if paths == NODE else Key(tuple(sorted(paths.items())), zone if DATE in paths.values() else "UTC")
