"""Keeps what is served up to date: one thread follows the ledger, applies epochs, and switches to the batch version a new manifest names.

What it serves is always whole: a step of epochs, or a new batch version, becomes visible under the lock at once. What goes wrong is told in
``problems`` and tried again; until then the last provable head keeps serving.
"""

import logging
import threading
import time
from collections.abc import Callable

from millrace.definitions import Definitions
from millrace.identity.decisions import UNDECIDED, read_decisions
from millrace.tables.catalogue import DECISIONS, MANIFESTS
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING
from millrace.tables.manifest import Manifest, read_manifests
from serving.store.base_folders import BaseFolders
from serving.store.commits import CommitLog
from serving.store.generation import Generation
from serving.store.ledger_tail import LedgerTail
from serving.store.opening import TABLE_ERRORS, Opening, catch_up, one_line

log = logging.getLogger(__name__)
RETRY_S = 1.0
MANIFEST = "manifest"
"""The one problem that takes nothing from answers: a newer batch version is refused, the older one is as exact."""


class Follower:
    """``serving`` and ``problems`` are read under ``lock``. ``definitions``: the newest ones; epochs under them are taken in before a version is published with them."""

    def __init__(self, tables: TenantTables, definitions: Callable[[], Definitions], *, secret: bytes, poll_s: float, reopen_s: float) -> None:
        self.lock = threading.Lock()
        self.serving: Generation | None = None
        self.ledger: LedgerTail | None = None
        self.problems: dict[str, str] = {}
        self.ready = threading.Event()
        self.looked_at = 0.0
        self._tables, self._definitions, self._poll_s, self._reopen_s = tables, definitions, poll_s, reopen_s
        self._secret = secret
        self._folders = BaseFolders(tables)
        self._manifest_log = CommitLog(tables, MANIFESTS)
        self._manifests: list[Manifest] = []
        self._decision_log = CommitLog(tables, DECISIONS)
        self._decisions = UNDECIDED
        self._opening: Opening | None = None
        self._retry_at: dict[int | None, float] = {}
        self._afresh = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="store-tail", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends both threads and closes what they opened."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._folders.stop()
        self._thread.join()
        if self._opening:
            self._opening.stop()
        for generation in (self.serving, self._opening and self._opening.generation):
            if generation:
                generation.close()

    @property
    def complete(self) -> bool:
        return not self.problems.keys() - {MANIFEST}

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self._look()
                problem = None
            except TABLE_ERRORS as error:
                problem = one_line(error)
            except Exception as error:  # the thread outlives whatever it meets; the status says so
                log.exception("tail failed")
                problem = f"the store cannot follow the tables ({type(error).__name__}); its log says more"
            self._tell("tables", problem)
            self._afresh = problem is not None
            self.looked_at = time.monotonic()
            self._stop.wait(self._poll_s if problem is None else RETRY_S)

    def _look(self) -> None:
        if self.ledger is None:
            self.ledger = LedgerTail(self._tables)
        if self._afresh:
            self.ledger.start_over()
            if self.serving:
                self.serving.start_over()
            self._manifest_log.snapshot()
            self._decision_log.snapshot()
        self.ledger.poll()
        if self._manifest_log.poll() or self._afresh:
            self._manifests = read_manifests(self._tables)
        if self._decision_log.poll() or self._afresh:
            self._decisions = read_decisions(self._tables)
        self._follow_manifests(self.ledger)
        if self.serving:
            self.serving.know(self._definitions())
            self._advance(self.serving, self.ledger)

    def _follow_manifests(self, ledger: LedgerTail) -> None:
        if self._opening and self._opening.done:
            opening, self._opening = self._opening, None
            if opening.generation:
                self._switch(opening.generation, ledger)
            else:
                self._refuse(opening.manifest, opening.problem or "")
        if self._opening is None:
            due = [m for m in self._candidates() if self._retry_at.get(m and m.manifest_id, 0.0) <= time.monotonic()]
            if due:
                self._opening = Opening(self._tables, self._folders, ledger, manifest=due[0], definitions=self._definitions(), secret=self._secret)

    def _candidates(self) -> list[Manifest | None]:
        """What may be opened instead of what is served, best first: the newest manifest; any older one rather than nothing."""
        if not self._manifests:
            return [] if self.serving else [None]
        if self.serving is None:
            return list(reversed(self._manifests))
        return [] if self.serving.manifest_id == self._manifests[-1].manifest_id else [self._manifests[-1]]

    def _switch(self, generation: Generation, ledger: LedgerTail) -> None:
        """The moment of a publish for readers. Answers never go back: a version that cannot reach the head served is refused."""
        old, reach = self.serving, generation.reach(ledger)
        if generation.manifest_id is None and reach.head == NOTHING < ledger.head:
            generation.close()
            self._refuse(None, reach.problem or "")  # "nobody has seen him" would be wrong of everybody in the log
            return
        manifest = next((m for m in self._manifests if m.manifest_id == generation.manifest_id), None)
        if old and reach.head < old.head:
            generation.close()
            self._refuse(manifest, f"it reaches epoch {reach.head} only and answers have come to {old.head}; {reach.problem}")
            return
        try:
            while catch_up(generation, ledger):
                pass
            if change := generation.decide(self._decisions):
                generation.take(change)
        except TABLE_ERRORS as error:
            generation.close()
            self._refuse(manifest, one_line(error))
            return
        with self.lock:
            self.serving = generation
            if not self._manifests or generation.manifest_id == self._manifests[-1].manifest_id:
                self.problems.pop(MANIFEST, None)
            generation.note(committed_at=ledger.committed_at(generation.head), complete=self.complete)
        self._advance(generation, ledger)
        self.ready.set()
        if old:
            old.close()
        self._folders.remove_unused()
        log.info("serving manifest=%s cut=%d head=%d", generation.manifest_id, generation.cut, generation.head)

    def _refuse(self, manifest: Manifest | None, problem: str) -> None:
        self._retry_at[manifest and manifest.manifest_id] = time.monotonic() + self._reopen_s
        what = f"manifest {manifest.manifest_id} is not served" if manifest else "nothing is served yet"
        self._tell(MANIFEST, f"{what}: {problem}")

    def _advance(self, generation: Generation, ledger: LedgerTail) -> None:
        if change := generation.decide(self._decisions):
            with self.lock:
                generation.take(change)
        reach = generation.reach(ledger)
        self._tell("head", reach.problem)
        while generation.head < reach.head and not self._stop.is_set():
            step = generation.prepare(ledger, reach.head)
            with self.lock:
                generation.apply(step, committed_at=ledger.committed_at(step.head))
            generation.applied()

    def _tell(self, topic: str, problem: str | None) -> None:
        """Notes a problem, or that there is none any more; answers say at once whether they are complete."""
        if self.problems.get(topic) == problem:
            return
        with self.lock:
            if problem is None:
                self.problems.pop(topic, None)
            else:
                self.problems[topic] = problem
            if self.serving and self.ledger:
                self.serving.note(committed_at=self.ledger.committed_at(self.serving.head), complete=self.complete)
        log.warning("problem topic=%s present=%s", topic, problem is not None)
