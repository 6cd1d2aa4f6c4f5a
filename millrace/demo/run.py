"""One run of the demo: its folder, the local system, the story, what to try next. jobs/demo.py calls it with the parsed options."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from millrace.demo.events import count_events
from millrace.demo.narration import Narration
from millrace.demo.report import Report
from millrace.demo.root import Progress, open_root, read_progress, save_progress
from millrace.demo.source import FIRST_WEEK, LAST_WEEK, open_source
from millrace.demo.story import Story
from millrace.demo.system import GROCERY, REPOSITORY, LocalSystem
from millrace.errors import ConfigurationError, MillraceError

DEFAULT_ROOT = Path("data/demo")
DEFAULT_WEEKS = 16
"""As many as a first run takes about two minutes for on two cores."""


def run_demo(root: Path, *, weeks: int, fresh: bool, json_file: Path | None, console: Console) -> Report:
    """Tells the story up to ``weeks``, continuing where an earlier run under ``root`` ended; ``json_file`` is written however it ends."""
    if not FIRST_WEEK <= weeks <= LAST_WEEK:
        raise ConfigurationError(f"--weeks {weeks}: the data has the weeks {FIRST_WEEK} to {LAST_WEEK}")
    if json_file and not json_file.absolute().parent.is_dir():
        raise ConfigurationError(f"--json {json_file}: the folder does not exist; make it first or name another file")
    report = Report(weeks=weeks, root=str(root), error="interrupted")
    try:
        _run(report, root=root, fresh=fresh, narration=Narration(console, report.stages))
    except MillraceError as error:
        report.error = str(error)
        raise
    finally:
        if json_file:
            report.write(json_file)
    return report


def _run(report: Report, *, root: Path, fresh: bool, narration: Narration) -> None:
    progress = open_root(root, fresh=fresh)
    if progress.weeks_compared >= report.weeks:
        report.nothing_to_do, report.error = True, None
        narration.say(
            f"Nothing to do: {root} holds the weeks 1 to {progress.weeks_compared} and their answers were equal. --weeks N adds weeks (up to 53), --fresh starts over."
        )
        _say_next(narration, root, weeks=progress.weeks_compared)
        return
    report.weeks = max(report.weeks, progress.weeks_sent)
    with open_source() as source:
        total = count_events(source, weeks=report.weeks)
        narration.say(f"Grocery purchases of 2,469 households in 2017 (completejourney): weeks 1 to {report.weeks}, {total:,} events, {_so_far(progress)}")
        system = LocalSystem(root.absolute())
        with narration.stage("start the local system") as (stage, _):
            system.start()
            stage.note = f"collector {system.addresses.collector}, API {system.addresses.api}"
        try:
            Story(source=source, system=system, root=root, progress=progress, narration=narration, report=report).tell()
        finally:
            with narration.stage("stop the local system") as (stage, _):
                system.stop()
                report.memory = system.memory.as_dict()
                stage.note = f"it used at most {report.memory['peak_mib']:,} MiB in all of its processes"
    report.error = None
    _conclude(report, root=root, narration=narration)


def _conclude(report: Report, *, root: Path, narration: Narration) -> None:
    found = report.as_dict()["comparison"]
    if report.is_ok:
        save_progress(root, replace(read_progress(root), weeks_compared=report.weeks))
        narration.say(
            f"\nAll {found['values']:,} values compared are equal, no publish changed an answer. {sum(stage.seconds for stage in report.stages):.0f} s in all."
        )
    else:
        narration.say(
            f"\nNOT EQUAL: {found['differences']:,} of {found['values']:,} values differ, {report.moved:,} answers changed by a publish, receipt {'replayed' if report.is_replayed else 'NOT replayed'}; see {root / 'run_local.log'}"
        )
    _say_next(narration, root, weeks=report.weeks)


def _so_far(progress: Progress) -> str:
    return f"the weeks 1 to {progress.weeks_sent} were sent before" if progress.weeks_sent else "nothing sent yet"


def _say_next(narration: Narration, root: Path, *, weeks: int) -> None:
    place, python = shlex.quote(str(root)), _this_python()
    read_key = f"""$({python} -c 'import json, sys; print(json.load(open(sys.argv[1]))["read_key"])' {shlex.quote(str(root / "default" / "keys.json"))})"""
    further = f"{python} -m jobs.demo --root {place} " + (f"--weeks {LAST_WEEK}" if weeks < LAST_WEEK else "--fresh")
    narration.say("\nNext: start the system again with this data; ask it (in another shell); " + ("tell the whole year" if weeks < LAST_WEEK else "start over"))
    narration.say(f"  {python} -m jobs.run_local --root {place} --definitions {GROCERY.relative_to(REPOSITORY)}")
    narration.say(f"""  curl -s -H "Authorization: Bearer {read_key}" http://127.0.0.1:8081/v1/profiles/user_id:1""")
    narration.say(f"  {further}")


def _this_python() -> str:
    """As a shell in the present folder starts it, whether or not an environment is active there."""
    python, here = Path(sys.executable), Path.cwd()
    return shlex.quote(str(python.relative_to(here) if python.is_relative_to(here) else python))
