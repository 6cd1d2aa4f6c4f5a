"""Keys of a tenant: made once, private, and a folder that cannot be had is named before anything starts."""

import stat
from pathlib import Path

import pytest

from millrace.errors import ConfigurationError, SetupError
from millrace.keys import keys_path, load_or_create_keys, read_keys
from millrace.lease import writer_lease


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = load_or_create_keys(tmp_path, "t")
    assert load_or_create_keys(tmp_path, "t") == first
    assert stat.S_IMODE(keys_path(tmp_path, "t").stat().st_mode) == 0o600


def test_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match=r"file/t cannot be made .*--root"):
        load_or_create_keys(tmp_path / "file", "t")
    with pytest.raises(SetupError, match="locks cannot be made"), writer_lease(tmp_path / "file", "t", "batch"):
        pass


def test_tenant_without_keys_and_damaged_keys_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no keys at"):
        read_keys(tmp_path, "t")
    load_or_create_keys(tmp_path, "t")
    keys_path(tmp_path, "t").write_text("{}")
    with pytest.raises(ConfigurationError, match="restore it from a backup"):
        read_keys(tmp_path, "t")


def test_each_source_has_a_write_key_of_its_own_that_lasts(tmp_path: Path) -> None:
    keys = load_or_create_keys(tmp_path, "t")
    found = keys.write_keys(["shop", "http", "blog"])
    assert found["http"] == keys.write_key
    assert len(set(found.values())) == 3
    assert read_keys(tmp_path, "t").write_keys(["shop"])["shop"] == found["shop"]
    assert load_or_create_keys(tmp_path, "other").write_keys(["shop"])["shop"] != found["shop"]
