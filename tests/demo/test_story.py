"""The whole story on the tiny package, told to a system of one small process; and once to the real one."""

import io
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from jobs.demo import main
from millrace.demo.report import Report
from millrace.demo.root import Progress, read_progress, save_progress
from millrace.demo.run import run_demo
from millrace.demo.source import open_source
from millrace.demo.story import plan_weeks
from millrace.demo.system import LocalSystem
from millrace.errors import ConfigurationError, MillraceError

Run = Callable[..., Report]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, package_folder: Path, tmp_path: Path) -> Run:
    """Runs the demo on the tiny package; ``told`` of the returned function is what it said."""

    def tell(*lies: str, weeks: int = 3, fresh: bool = False, json_file: Path | None = None) -> Report:
        command = (sys.executable, str(Path(__file__).with_name("fake_system.py")), *lies)
        monkeypatch.setattr("millrace.demo.run.LocalSystem", partial(LocalSystem, command=command))
        monkeypatch.setattr("millrace.demo.run.open_source", partial(open_source, package_folder))
        screen = io.StringIO()
        try:
            return run_demo(tmp_path / "demo", weeks=weeks, fresh=fresh, json_file=json_file, console=Console(file=screen, width=200))
        finally:
            tell.told = screen.getvalue()  # type: ignore[attr-defined]

    return tell


def test_equal_answers_end_well_and_are_counted(run: Run) -> None:
    report = run()

    assert (report.exit_code, report.sent.events, report.moved) == (0, 9, 0)
    assert list(report.comparisons) == ["first_before_publish", "first_after_publish", "first_other_views", "before_publish", "after_publish", "other_views"]
    assert [comparison.rows for comparison in report.comparisons.values()] == [4, 4, 8, 4, 4, 10]
    assert report.receipt["manifest_id"] == 2


def test_wrong_answer_fails_the_comparison_and_is_named(run: Run) -> None:
    report = run("--lie", "revenue_total")

    assert report.exit_code == 3
    assert "household 1 revenue_total: expected 27.40, answered 28.40" in run.told  # type: ignore[attr-defined]


def test_row_of_another_view_that_is_missing_fails_the_comparison_and_is_named(run: Run) -> None:
    report = run("--lie", "store")

    assert report.exit_code == 3
    assert "store 436 whole: expected known, answered unknown" in run.told  # type: ignore[attr-defined]


def test_answer_that_a_publish_moves_fails_the_run(run: Run) -> None:
    report = run("--forget")

    assert (report.exit_code, report.moved) == (3, 1)


def test_receipt_that_gives_another_answer_fails_the_run(run: Run) -> None:
    report = run("--misremember")

    assert (report.exit_code, report.is_replayed) == (3, False)
    assert report.as_dict()["comparison"]["differences"] == 0


def test_run_after_a_finished_run_has_nothing_to_do(run: Run) -> None:
    run()

    again = run()

    assert (again.exit_code, again.nothing_to_do, again.stages) == (0, True, [])
    assert "Nothing to do" in run.told  # type: ignore[attr-defined]


def test_failed_comparison_is_done_again_by_the_next_run(run: Run, tmp_path: Path) -> None:
    run("--lie", "revenue_total")

    assert read_progress(tmp_path / "demo") == Progress(weeks_sent=3, weeks_compared=0)


def test_more_weeks_continue_where_the_first_run_ended(run: Run, tmp_path: Path) -> None:
    run(weeks=2)
    save_progress(tmp_path / "demo", Progress(weeks_sent=0, weeks_compared=2))

    report = run(weeks=3)

    assert (report.exit_code, report.sent.events) == (0, 9)


def test_fresh_starts_over(run: Run) -> None:
    run()

    assert run(fresh=True).sent.events == 9


def test_json_says_what_was_found(run: Run, tmp_path: Path) -> None:
    run(json_file=tmp_path / "found.json")

    found = json.loads((tmp_path / "found.json").read_text())

    assert (found["ok"], found["error"], found["comparison"]["rows"], found["comparison"]["differences"]) == (True, None, 34, 0)
    assert found["comparison"]["before_publish"]["layers"]
    assert found["freshness"]["probes"] > 0
    assert [stage["name"] for stage in found["stages"]][:2] == ["start the local system", "send weeks 1 to 2 to the collector"]
    assert set(found["stages"][0]) == {"name", "seconds", "count", "note"}


def test_json_of_a_system_that_does_not_start_says_why(run: Run, tmp_path: Path) -> None:
    with pytest.raises(MillraceError, match="ended with exit code 2"):
        run("--lie", json_file=tmp_path / "found.json")

    found = json.loads((tmp_path / "found.json").read_text())

    assert found["ok"] is False
    assert "expected one argument" in found["error"]


def test_output_without_a_terminal_has_no_control_codes(run: Run) -> None:
    run()

    assert "\x1b" not in run.told and "\r" not in run.told  # type: ignore[attr-defined]


def test_story_ends_with_three_commands(run: Run) -> None:
    run()

    commands = run.told.split("Next:")[1].splitlines()[1:]  # type: ignore[attr-defined]

    system, ask, further = [line.split() for line in commands]
    assert [system[1:3], ask[:3], further[1:3]] == [["-m", "jobs.run_local"], ["curl", "-s", "-H"], ["-m", "jobs.demo"]]


def test_commands_it_names_run_in_this_folder_without_an_environment(run: Run) -> None:
    run()

    system, ask, further = run.told.split("Next:")[1].splitlines()[1:]  # type: ignore[attr-defined]
    programs = [system.split()[0], ask.partition("$(")[2].split()[0], further.split()[0]]

    assert [Path(program).absolute() for program in programs] == [Path(sys.executable)] * 3


@pytest.mark.parametrize("weeks", [0, 54])
def test_weeks_the_data_does_not_have_are_refused(weeks: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="weeks 1 to 53"):
        run_demo(tmp_path / "demo", weeks=weeks, fresh=False, json_file=None, console=Console(file=io.StringIO()))


def test_foreign_folder_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("precious")

    assert main(["--root", str(tmp_path), "--fresh"]) == 2
    assert "was not made by the demo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sent", "wanted", "bulk", "live"),
    [
        (0, 16, range(1, 15), range(15, 17)),
        (0, 2, range(1, 2), range(2, 3)),
        (0, 1, range(1, 1), range(1, 2)),
        (14, 16, range(15, 16), range(16, 17)),
        (16, 16, range(17, 17), range(17, 17)),
    ],
)
def test_last_weeks_are_live(sent: int, wanted: int, bulk: range, live: range) -> None:
    plan = plan_weeks(sent, wanted)

    assert (list(plan.bulk), list(plan.live)) == (list(bulk), list(live))


@pytest.mark.stack
def test_story_of_two_weeks_on_the_real_system(tmp_path: Path) -> None:
    found = tmp_path / "found.json"

    code = main(["--weeks", "2", "--root", str(tmp_path / "demo"), "--json", str(found)])

    report = json.loads(found.read_text())
    assert code == 0, report
    assert report["ok"]
    assert report["sent"]["events"] == 4107
    of_households = [one["rows"] for name, one in report["comparison"].items() if name.endswith("_publish") and isinstance(one, dict)]
    assert of_households == [2469] * 4
    assert 0 < report["comparison"]["first_other_views"]["rows"] < report["comparison"]["other_views"]["rows"]
    assert (report["comparison"]["differences"], report["comparison"]["moved_by_publish"]) == (0, 0)
    assert report["receipt"]["complete"] is True
