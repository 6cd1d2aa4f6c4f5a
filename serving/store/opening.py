"""Opens the batch version a new manifest names, in a thread of its own, while the old one keeps serving. following.py starts it and takes the result."""

import logging
import threading
import time

import lmdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from millrace.definitions import Definitions
from millrace.errors import CoverageError, MillraceError
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest
from serving.store.base_folders import BaseFolders
from serving.store.generation import Generation
from serving.store.ledger_tail import LedgerTail

log = logging.getLogger(__name__)
TABLE_ERRORS = (MillraceError, DeltaError, OSError, lmdb.Error, pa.ArrowException)
"""What reading tables and files may raise."""
ENDLESS = 2**62


class Opening:
    """One attempt. When ``done``, either ``generation`` or ``problem`` is set. Without a manifest: the definitions alone, all epochs on top. ``upto``: the last
    epoch it takes in."""

    def __init__(
        self, tables: TenantTables, folders: BaseFolders, ledger: LedgerTail, *, manifest: Manifest | None, definitions: Definitions, secret: bytes, upto: int = ENDLESS
    ) -> None:
        self.manifest = manifest
        self.generation: Generation | None = None
        self.problem: str | None = None
        self._tables, self._folders, self._ledger, self._newest = tables, folders, ledger, definitions
        self._secret, self._upto = secret, upto
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-opening", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Gives up; returns when the thread has ended."""
        self._stop.set()
        self._folders.stop()
        self._thread.join()

    def _run(self) -> None:
        started = time.monotonic()
        number = self.manifest and self.manifest.manifest_id
        try:
            self.generation = self._open()
        except TABLE_ERRORS as error:
            self.problem = one_line(error)
            log.error("opening failed manifest=%s error=%s", number, type(error).__name__)
        except Exception as error:
            self.problem = f"it cannot be opened ({type(error).__name__}); the log of the store says more"
            log.exception("opening failed manifest=%s", number)
        else:
            log.info("opened manifest=%s head=%d seconds=%.2f", number, self.generation.head, time.monotonic() - started)

    def _open(self) -> Generation:
        """A generation that has caught up with the ledger as it was a moment ago."""
        if self.manifest and self.manifest.definitions.hash != self.manifest.definitions_hash:
            raise CoverageError(
                f"its definitions were {self.manifest.definitions_hash} when it was published and are {self.manifest.definitions.hash} to this version of Millrace, "
                "which may keep states under other names; restart the stream and build a batch version with --full"
            )
        held = self._folders.open(self.manifest) if self.manifest else None
        try:
            generation = Generation(self._tables, self.manifest, self._newest, held, secret=self._secret)
            while not self._stop.is_set() and catch_up(generation, self._ledger, upto=self._upto):
                pass
        except BaseException:
            if held:
                held.close()
            raise
        return generation


def catch_up(generation: Generation, ledger: LedgerTail, *, upto: int = ENDLESS) -> bool:
    """One step of a generation nobody reads yet; False when it has all epochs it can prove, or those up to ``upto``."""
    upto = min(generation.reach(ledger).head, upto)
    if generation.head >= upto:
        return False
    step = generation.prepare(ledger, upto)
    generation.apply(step, committed_at=ledger.committed_at(step.head))
    generation.applied()
    return True


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
