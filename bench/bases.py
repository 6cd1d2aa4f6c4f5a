"""A base written directly, without the batch tables it would be built from: for benches of what reads it, with more people than Spark would make in their time."""

from collections.abc import Iterable, Sequence

from bench.lookup_tables import CUT
from millrace.identity.nodes import person_id
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import find_manifest
from serving.store.base_building import write_sorted
from serving.store.base_folders import BaseFolders
from serving.store.batch_base import Member, Place, encode_members, encode_place, open_environment, write_description


def write_base(tables: TenantTables, manifest_id: int, nodes: Sequence[str], slots: Iterable[tuple[str, bytes]]) -> None:
    """The base of a manifest that is there: each node a person of his own. Nodes and slots come in order of the node."""
    manifest = find_manifest(tables, manifest_id)
    if manifest is None:
        raise RuntimeError(f"there is no manifest {manifest_id}")
    folder = BaseFolders(tables).folder / f"base-{manifest_id}"
    folder.mkdir(parents=True)
    environment = open_environment(folder, readonly=False)
    people = sorted((person_id(node), node) for node in nodes)
    write_sorted(environment, "nodes", ((node.encode(), encode_place(Place(person_id(node), ""))) for node in nodes))
    write_sorted(environment, "persons", ((person.encode(), encode_members([Member(node, None, CUT, 0, 0)])) for person, node in people))
    write_sorted(environment, "states", ((node.encode(), found) for node, found in slots))
    for name in ("merged", "edges", "ids", "keyed"):
        write_sorted(environment, name, iter(()))
    write_description(environment, manifest)
    environment.sync(True)
    environment.close()
