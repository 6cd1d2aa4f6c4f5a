from pathlib import Path

import pytest

from millrace.demo.root import MARKER, Progress, open_root, save_progress
from millrace.errors import ConfigurationError, SetupError
from millrace.local.one_system import only_system


def test_new_root_starts_with_nothing_sent(tmp_path: Path) -> None:
    assert open_root(tmp_path / "demo", fresh=False) == Progress(0, 0)


def test_second_run_continues_where_the_first_one_ended(tmp_path: Path) -> None:
    open_root(tmp_path / "demo", fresh=False)
    save_progress(tmp_path / "demo", Progress(4, 3))

    assert open_root(tmp_path / "demo", fresh=False) == Progress(4, 3)


def test_fresh_wipes_a_root_the_demo_made(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    open_root(root, fresh=False)
    save_progress(root, Progress(4, 3))
    (root / "default" / "log").mkdir(parents=True)

    assert open_root(root, fresh=True) == Progress(0, 0)
    assert [entry.name for entry in root.iterdir()] == [MARKER]


def test_fresh_never_touches_a_folder_without_the_marker(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")

    with pytest.raises(ConfigurationError, match="was not made by the demo"):
        open_root(tmp_path, fresh=True)

    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_fresh_does_not_take_the_tables_from_under_a_running_system(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    open_root(root, fresh=False)
    (root / "default" / "log").mkdir(parents=True)

    with only_system(root), pytest.raises(SetupError, match="already runs a local system"):
        open_root(root, fresh=True)

    assert (root / "default" / "log").is_dir()


def test_fresh_removes_a_link_and_not_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("precious")
    root = tmp_path / "demo"
    open_root(root, fresh=False)
    (root / "link").symlink_to(tmp_path / "precious")

    open_root(root, fresh=True)

    assert (tmp_path / "precious" / "thesis.txt").exists()


def test_root_that_is_a_link_is_refused(tmp_path: Path) -> None:
    open_root(tmp_path / "demo", fresh=False)
    (tmp_path / "link").symlink_to(tmp_path / "demo")

    with pytest.raises(ConfigurationError, match="is a link"):
        open_root(tmp_path / "link", fresh=True)


def test_damaged_marker_asks_for_fresh(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    open_root(root, fresh=False)
    (root / MARKER).write_text("{")

    with pytest.raises(ConfigurationError, match="--fresh"):
        open_root(root, fresh=False)


def test_fresh_repairs_a_damaged_marker(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    open_root(root, fresh=False)
    (root / MARKER).write_text("{")

    assert open_root(root, fresh=True) == Progress(0, 0)
