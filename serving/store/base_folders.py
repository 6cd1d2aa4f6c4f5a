"""The folders of the bases of a tenant: builds one in a child process, renames it into place, and removes those nobody uses. opening.py calls it.

``base-<manifest id>`` appears whole or not at all; a base outlives the process that built it. Each folder has a file ``in_use`` that its users lock:
several stores may share them, and the kernel frees the lock of one that dies.
"""

import fcntl
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import lmdb

from millrace.errors import CoverageError
from millrace.local.processes import start_process, stop_process
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest
from serving.store.batch_base import BatchBase

log = logging.getLogger(__name__)
REPOSITORY = Path(__file__).resolve().parents[2]
_LOCK = "in_use"
_POLL_S = 0.05


class HeldBase:
    """An open base whose folder is locked against removal until ``close``."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self._lock = _lock(path, fcntl.LOCK_SH)
        try:
            self.base = BatchBase(path, manifest)
        except (CoverageError, lmdb.Error):
            os.close(self._lock)
            raise

    def close(self) -> None:
        self.base.close()
        os.close(self._lock)


class BaseFolders:
    """``<root>/<tenant>/store``: opens the base of a manifest, building it when it is not there."""

    def __init__(self, tables: TenantTables) -> None:
        self._tables = tables
        self.folder = Path(tables.path("store")).absolute()  # the child that builds a base works elsewhere
        self._stopping = False

    def open(self, manifest: Manifest) -> HeldBase:
        """The base of a manifest. CoverageError with the reason when it cannot be built from the tables."""
        path = self.folder / f"base-{manifest.manifest_id}"
        try:
            return HeldBase(path, manifest)
        except (OSError, lmdb.Error, CoverageError):
            self._remove(path)
        self._build(path, manifest)
        return HeldBase(path, manifest)

    def remove_unused(self) -> None:
        """Removes every base and every unfinished one that nobody holds, this store or another."""
        for path in [*self.folder.glob("base-*"), *self.folder.glob(".building-*")]:
            self._remove(path)

    def stop(self) -> None:
        """A build that runs is given up."""
        self._stopping = True

    def _build(self, path: Path, manifest: Manifest) -> None:
        draft = self.folder / f".building-{manifest.manifest_id}-{os.getpid()}-{secrets.token_hex(4)}"
        draft.mkdir(parents=True)
        lock = _lock(draft, fcntl.LOCK_SH)
        started = time.monotonic()
        try:
            self._run_child(draft, manifest)
            shutil.rmtree(draft / "spill", ignore_errors=True)
            with suppress(OSError):  # another store was faster: its base is as good
                draft.rename(path)
        finally:
            os.close(lock)
            shutil.rmtree(draft, ignore_errors=True)
        log.info("base built manifest=%d seconds=%.2f", manifest.manifest_id, time.monotonic() - started)

    def _run_child(self, draft: Path, manifest: Manifest) -> None:
        root = self._tables.root if "://" in self._tables.root else str(Path(self._tables.root).absolute())
        argv = [sys.executable, "-m", "serving.store.base_building", "--root", root, "--tenant", self._tables.tenant]
        with tempfile.TemporaryFile() as output:
            child = start_process([*argv, "--manifest", str(manifest.manifest_id), "--into", str(draft)], output=output, cwd=REPOSITORY)
            while child.poll() is None:
                if self._stopping:
                    stop_process(child, wait_s=5)
                time.sleep(_POLL_S)
            if child.returncode:
                output.seek(0)
                said = output.read().decode("utf-8", "replace").strip().splitlines()
                raise CoverageError(said[-1] if said else f"the build of its base ended with exit code {child.returncode}")

    def _remove(self, path: Path) -> None:
        if not path.exists():
            return
        try:
            lock = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _lock(path: Path, kind: int) -> int:
    """Descriptor of the folder's lock file, locked; OSError when another holds it or the folder has gone meanwhile."""
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        if os.fstat(descriptor).st_nlink == 0:
            raise FileNotFoundError(f"{path} has been removed")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
