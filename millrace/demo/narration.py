"""What the demo tells while it runs: one line a stage with seconds and counts, progress bars on a terminal only. The story calls it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@dataclass
class Stage:
    """One finished stage; ``count`` is of what its name says."""

    name: str
    seconds: float = 0.0
    count: int = 0
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"seconds": round(self.seconds, 3)}


class Bar:
    """Progress of the running stage; any thread may move it."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=total)

    def advance(self, count: int = 1) -> None:
        self._progress.advance(self._task, count)

    def move_to(self, count: int) -> None:
        self._progress.update(self._task, completed=count)


class Narration:
    """Tells on one console and adds finished stages to ``stages``."""

    def __init__(self, console: Console, stages: list[Stage]) -> None:
        self._console, self._stages = console, stages

    def say(self, text: str = "") -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, name: str, *, total: int | None = None) -> Iterator[tuple[Stage, Bar]]:
        """Times what is done inside; the line is told when it ends well."""
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        stage, started = Stage(name), time.monotonic()
        with Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal) as progress:
            yield stage, Bar(progress, name, total)
        stage.seconds = time.monotonic() - started
        self._stages.append(stage)
        self.say(stage_line(stage))


def stage_line(stage: Stage) -> str:
    count = f"{stage.count:>9,}" if stage.count else " " * 9
    return f"{stage.name:<44} {stage.seconds:>7.1f} s {count}  {stage.note}".rstrip()
