"""Manifests: one row publishes one batch version of all views."""

from datetime import UTC, datetime

from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest, find_manifest, kept_manifests, latest_manifest, oldest_kept_cut, read_manifests, write_manifest

DEFINITIONS = load_definitions(DEFAULT_DIRECTORY)


def manifest(number: int, cut: int, version: int | None = None, rolled_back_to: int | None = None) -> Manifest:
    tables = {"batch/person": number if version is None else version, "batch/nodes": number if version is None else version}
    return Manifest(
        number, datetime(2026, 3, 1, tzinfo=UTC), "rollback" if rolled_back_to else "full", cut, "{}", tables,
        DEFINITIONS.hash, DEFINITIONS.to_json(), {"equal": True}, rolled_back_to,
    )  # fmt: skip


def test_a_manifest_reads_as_it_was_written(tmp_path):
    tables = TenantTables(tmp_path, "t")
    assert latest_manifest(tables) is None
    for number in (2, 1, 3):
        write_manifest(tables, manifest(number, number * 10, rolled_back_to=1 if number == 3 else None))
    assert read_manifests(tables) == [manifest(1, 10), manifest(2, 20), manifest(3, 30, rolled_back_to=1)]
    assert latest_manifest(tables).manifest_id == 3
    assert find_manifest(tables, 2) == manifest(2, 20)
    assert find_manifest(tables, 9) is None
    assert latest_manifest(tables).definitions == DEFINITIONS


def test_epochs_above_the_cut_of_the_oldest_kept_version_must_stay():
    published = [manifest(number, number * 10) for number in range(1, 8)]
    assert oldest_kept_cut(published, 5) == 30
    assert oldest_kept_cut(published[:2], 5) == 10
    assert oldest_kept_cut([], 5) == 0


def test_a_rollback_keeps_the_version_it_points_at():
    published = [manifest(1, 10), manifest(2, 20), manifest(3, 30), manifest(4, 10, version=1, rolled_back_to=1)]
    assert [one.manifest_id for one in kept_manifests(published, 2)] == [4, 3]
    assert oldest_kept_cut(published, 2) == 10
