"""The folder the demo works in and how far it came. Only a folder with the demo's own marker is ever wiped. The story calls it."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from millrace.errors import ConfigurationError
from millrace.local.one_system import only_system

MARKER = "millrace-demo.json"


@dataclass(frozen=True)
class Progress:
    """``weeks_sent``: weeks 1 to this one are acknowledged; ``weeks_compared``: the story was told to its end up to this week."""

    weeks_sent: int = 0
    weeks_compared: int = 0


def open_root(root: Path, *, fresh: bool) -> Progress:
    """Makes the folder or continues in it; ``fresh`` empties it first. ConfigurationError for a folder that something else made, SetupError for one
    that a running system would lose."""
    marker = root / MARKER
    if root.exists() and not root.is_dir():
        raise ConfigurationError(f"--root {root} is a file; name a folder")
    if root.is_symlink():
        raise ConfigurationError(f"--root {root} is a link; name the folder itself")
    if root.is_dir() and any(root.iterdir()) and not marker.is_file():
        raise ConfigurationError(
            f"--root {root} is not empty and was not made by the demo (no {MARKER} in it); name another folder, the demo does not touch this one"
        )
    if fresh and root.is_dir():
        with only_system(root):
            _wipe(root)
    root.mkdir(parents=True, exist_ok=True)
    if not marker.is_file():
        save_progress(root, Progress())
    return read_progress(root)


def read_progress(root: Path) -> Progress:
    marker = root / MARKER
    try:
        return Progress(**json.loads(marker.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{marker} does not say how far the demo came ({error}); start over with --fresh") from None


def save_progress(root: Path, progress: Progress) -> None:
    draft = root / f".{MARKER}"
    draft.write_text(json.dumps(asdict(progress)) + "\n", encoding="utf-8")
    os.replace(draft, root / MARKER)


def _wipe(root: Path) -> None:
    """Everything but the marker, then the marker: a wipe that is interrupted can be done again."""
    for entry in root.iterdir():
        if entry.name == MARKER:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (root / MARKER).unlink()
