"""Which Java this machine runs: ``$JAVA_HOME`` first, as Spark does, then the PATH. Broker and doctor ask."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from millrace.errors import SetupError

NEEDED = 17
INSTALL = f"install Java {NEEDED} or newer (Debian and Ubuntu: apt-get install openjdk-17-jre-headless), or point JAVA_HOME at one"
_VERSION = re.compile(r'(?:JAVA_VERSION=|version )"(?:1\.)?(?P<major>\d+)[^"]*"')


@cache
def java_command() -> str:
    """Path of a Java that is new enough; SetupError with the fix otherwise."""
    home = os.environ.get("JAVA_HOME")
    command = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if command is None:
        raise SetupError(f"no Java {f'in JAVA_HOME ({home})' if home else 'on the PATH'}; {INSTALL}")
    version = java_version(command)
    if version < NEEDED:
        raise SetupError(f"{command} {f'is Java {version}' if version else 'does not say which Java it is'}; {INSTALL}")
    return command


def java_version(command: str) -> int:
    """Major version, from the ``release`` file of the installation when it has one (no process), else from ``java -version``; 0 when neither says or it does not run."""
    release = Path(command).resolve().parent.parent / "release"
    try:
        text = release.read_text(encoding="utf-8")
    except OSError:
        try:
            text = subprocess.run([command, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stderr
        except OSError:  # of another machine, or no program at all
            return 0
    found = _VERSION.search(text)
    return int(found["major"]) if found else 0
