"""The batch version a manifest publishes, as an immutable LMDB environment: written once by base_building.py, read by the store.

Databases: ``nodes`` node → person id and what is unusual about it (``Place``), ``persons`` person id → members, ``states`` node → slots (layout.py),
``merged`` id of a person with several nodes → their slots merged, so that a read has one part to decode, ``edges`` component → the edges that touch it
(none of blocked nodes), for persons that later edges or decisions may part or join again: their nodes are read one by one then; ``ids`` the id that a
node would give a person → node, for nodes after which nobody is named at the cut; ``keyed``: view and key → slots, of views of other keys than nodes.
"""

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import msgspec

from millrace.errors import CoverageError
from millrace.identity.nodes import person_id
from millrace.tables.manifest import Manifest

FORMAT = 5
DATABASES = ("nodes", "persons", "states", "merged", "edges", "ids", "keyed")
LARGEST_BYTES = 1 << 38
"""Address space, not disk: the file grows with what is in it."""


class Member(NamedTuple):
    """A node of a person; ``epoch, partition, offset`` is where the log first shows it."""

    node: str
    hint: str | None
    epoch: int
    partition: int
    offset: int


class Edge(NamedTuple):
    """Two nodes of a component that were seen together, and where the log first shows them so."""

    a: str
    b: str
    epoch: int
    partition: int
    offset: int


class Place(NamedTuple):
    """Where a node stands at the cut. ``contested``: its component has several persons. ``isolated``: it joins nobody. ``linked``: how many others it was seen
    with, where these are many (millrace/identity/crowds.py)."""

    person_id: str
    component: str
    contested: bool = False
    isolated: bool = False
    linked: int = 0


def keyed_name(view: str, key: str) -> bytes:
    """Where a key of a view stands in ``keyed``."""
    return f"{view}\0{key}".encode()


def encode_place(place: Place) -> bytes:
    """The person's id alone for nearly all nodes."""
    unusual = "!" if place.isolated else place.component if place.contested else ""
    return " ".join([place.person_id, *([unusual] if unusual or place.linked else []), *([str(place.linked)] if place.linked else [])]).encode()


def decode_place(found: bytes) -> Place:
    person, _, rest = found.decode().partition(" ")
    if not rest:
        return Place(person, person)
    unusual, _, linked = rest.partition(" ")
    if unusual == "!":
        return Place(person, person, isolated=True, linked=int(linked or 0))
    return Place(person, unusual or person, contested=bool(unusual), linked=int(linked or 0))


class Description(msgspec.Struct, frozen=True):
    """What a base was made from; a base is used only for the manifest it describes."""

    format: int
    manifest_id: int
    cut: int
    definitions_hash: str
    tables: dict[str, int]

    @classmethod
    def of(cls, manifest: Manifest) -> "Description":
        return cls(FORMAT, manifest.manifest_id, manifest.cut, manifest.definitions_hash, dict(sorted(manifest.tables.items())))


_members = msgspec.msgpack.Decoder(list[Member])
_edges = msgspec.msgpack.Decoder(list[Edge])
encode_members = encode_edges = msgspec.msgpack.Encoder().encode


class BaseReader:
    """Lookups for one thread at a time."""

    def __init__(self, transaction: Any, databases: dict[str, Any]) -> None:
        self._transaction, self._get, self._databases = transaction, transaction.get, databases
        self._nodes, self._persons, self._states, self._merged, self._edges, self._ids = (databases[name] for name in DATABASES[:6])

    def person_of(self, node: str) -> str | None:
        """Id of the person a node belongs to at the cut; None for a node batch does not know."""
        found = self._get(node.encode(), db=self._nodes)
        return None if found is None else found.partition(b" ")[0].decode()

    def place(self, node: str) -> Place | None:
        found = self._get(node.encode(), db=self._nodes)
        return None if found is None else decode_place(found)

    def component(self, component: str) -> tuple[list[Member], list[Edge]]:
        """All members of a component's persons, and the edges that touch them, refused ones included, except those of blocked nodes."""
        edges = _edges.decode(self._get(component.encode(), db=self._edges) or b"\x90")
        places = [place for node in {node for edge in edges for node in edge[:2]} if (place := self.place(node)) and place.component == component]
        return [member for person in sorted({place.person_id for place in places} or {component}) for member in self.members(person)], edges

    def members(self, person_id: str) -> list[Member]:
        return _members.decode(self._get(person_id.encode(), db=self._persons) or b"\x90")

    def pairs(self, database: str, first: str = "") -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of a database in order, from a key on."""
        cursor = self._transaction.cursor(db=self._databases[database])
        return iter(cursor) if cursor.set_range(first.encode()) else iter(())

    def count(self, database: str) -> int:
        return self._transaction.stat(self._databases[database])["entries"]

    def first_members(self, first: str = "", until: str = "") -> Iterator[str]:
        """The first node of every person, or of those whose ids lie from ``first`` to before ``until``."""
        for key, members in self.pairs("persons", first):
            if until and key >= until.encode():
                return
            yield _members.decode(members)[0].node

    def is_first_member(self, node: str) -> bool:
        """Whether ``first_members`` gives the node."""
        person_id = self.person_of(node)
        return person_id is not None and self.members(person_id)[0].node == node

    def anchor(self, person: str) -> str | None:
        """The node that gives a person this id; None when batch knows no such node."""
        own = next((member.node for member in self.members(person) if person_id(member.node) == person), None)
        if own is not None:
            return own
        found = self._get(person.removeprefix("p_").encode(), db=self._ids)
        return None if found is None else found.decode()

    def states(self, node: str) -> bytes | None:
        """Slots of a node, encoded; None when it has none."""
        return self._get(node.encode(), db=self._states)

    def keyed(self, view: str, key: str) -> bytes | None:
        """Slots of a key of a view of other keys, encoded; None when it has none."""
        return self._get(keyed_name(view, key), db=self._databases["keyed"])

    def keys(self, view: str, after: str = "") -> Iterator[str]:
        """Keys of such a view in order, those after one."""
        prefix = keyed_name(view, "")
        of_view = takewhile(lambda name: name.startswith(prefix), (name for name, _ in self.pairs("keyed", f"{view}\0{after}")))
        return (key for name in of_view if (key := name.removeprefix(prefix).decode()) > after)

    def slots(self, person_id: str, members: list[Member]) -> bytes | None:
        """Slots of a person's nodes, merged and encoded; None when there are none."""
        if len(members) == 1:
            return self._get(members[0].node.encode(), db=self._states)
        return self._get(person_id.encode(), db=self._merged)


class NoReader(BaseReader):
    """The base before the first publish: nothing is in it."""

    def __init__(self) -> None: ...

    def person_of(self, node: str) -> str | None:
        return None

    def place(self, node: str) -> Place | None:
        return None

    def component(self, component: str) -> tuple[list[Member], list[Edge]]:
        return [], []

    def anchor(self, person: str) -> str | None:
        return None

    def members(self, person_id: str) -> list[Member]:
        return []

    def pairs(self, database: str, first: str = "") -> Iterator[tuple[bytes, bytes]]:
        return iter(())

    def count(self, database: str) -> int:
        return 0

    def states(self, node: str) -> bytes | None:
        return None

    def keyed(self, view: str, key: str) -> bytes | None:
        return None

    def slots(self, person_id: str, members: list[Member]) -> bytes | None:
        return None


class BatchBase:
    """An open environment. CoverageError when it is not what the manifest publishes."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self._environment = open_environment(path, readonly=True)
        try:
            found = describe(self._environment)
            if found != Description.of(manifest):
                raise CoverageError(f"{path} was not built from manifest {manifest.manifest_id}; remove it, the store builds it again")
            self._databases = {name: self._environment.open_db(name.encode(), create=False) for name in DATABASES}
        except (lmdb.Error, CoverageError):
            self._environment.close()
            raise

    def reader(self) -> BaseReader:
        """A reader with a transaction of its own."""
        return BaseReader(self._environment.begin(), self._databases)

    def close(self) -> None:
        """No reader may be used afterwards."""
        self._environment.close()


def open_environment(path: Path, *, readonly: bool) -> lmdb.Environment:
    """LMDB without its lock file: one process writes it before anyone reads it, nobody writes it afterwards."""
    return lmdb.open(str(path), map_size=LARGEST_BYTES, max_dbs=len(DATABASES), readonly=readonly, lock=False, create=not readonly, sync=False, readahead=False)


def write_description(environment: lmdb.Environment, manifest: Manifest) -> None:
    with environment.begin(write=True) as transaction:
        transaction.put(b"description", msgspec.json.encode(Description.of(manifest)))


def describe(environment: lmdb.Environment) -> Description | None:
    """None when there is no readable description."""
    with environment.begin() as transaction:
        text = transaction.get(b"description")
    try:
        return None if text is None else msgspec.json.decode(text, type=Description)
    except msgspec.DecodeError:
        return None
