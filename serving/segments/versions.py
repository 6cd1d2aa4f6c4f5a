"""The batch versions the follower stands on: which to begin with, and when to go over to the next. following.py calls it.

Answers of a store may leap; memberships may not: a version is entered exactly at the epoch and the decision at which the one before is left.
"""

import logging
import time
from collections.abc import Callable

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.identity.decisions import read_decisions
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest
from serving.segments.state import Position
from serving.store.base_folders import BaseFolders
from serving.store.generation import Generation
from serving.store.ledger_tail import LedgerTail
from serving.store.opening import ENDLESS, TABLE_ERRORS, Opening, catch_up, one_line

log = logging.getLogger(__name__)
REOPEN_S = 30.0


class Versions:
    """Opens in a thread of its own what ``begin`` or ``follow`` asks for; ``definitions`` are asked for when there is no manifest."""

    def __init__(self, tables: TenantTables, definitions: Callable[[], Definitions], *, secret: bytes) -> None:
        self.problem: str | None = None
        self._tables, self._definitions, self._secret = tables, definitions, secret
        self._folders = BaseFolders(tables)
        self._opening: Opening | None = None
        self._retry_at: dict[int | None, float] = {}

    def begin(self, manifests: list[Manifest], ledger: LedgerTail, position: Position, *, is_new: bool) -> Generation | None:
        """The first generation, None until it is open: the newest version that lies before the position, caught up to exactly there; where none does, and where
        there is no position yet, the newest one at the head."""
        if self._opening is None:
            before = [one for one in manifests if one.cut <= position.head and one.decisions <= position.decisions and not is_new]
            wanted = [*reversed(before), *reversed(manifests)] or [None]
            self._open(wanted, ledger, upto=position.head if before or not (manifests or is_new) else ENDLESS)
            return None
        generation = self._opened()
        if generation is None:
            return None
        upto = position.decisions if generation.head == position.head and not is_new else None
        if change := generation.decide(read_decisions(self._tables, upto=upto)):
            generation.take(change)
        return generation

    def follow(self, manifests: list[Manifest], ledger: LedgerTail, serving: Generation) -> Generation | None:
        """The generation of a newer manifest at exactly the point where ``serving`` stands; None while there is none."""
        if not manifests or manifests[-1].manifest_id == serving.manifest_id:
            return None
        newest = manifests[-1]
        if self._opening is None:
            if newest.cut <= serving.head or serving.reach(ledger).head <= serving.head:
                self._open([newest], ledger, upto=serving.head)
            return None
        if not self._opening.done or (self._opening.generation and self._opening.generation.head > serving.head < serving.reach(ledger).head):
            return None
        generation = self._opened()
        if generation is not None:
            try:
                while catch_up(generation, ledger, upto=serving.head):
                    pass
                decisions = read_decisions(self._tables, upto=max(serving.decisions, newest.decisions))
                if change := generation.decide(decisions):
                    generation.take(change)
                if generation.head < serving.head:
                    raise CoverageError(f"manifest {generation.manifest_id} reaches epoch {generation.head} only and memberships stand at {serving.head}")
            except TABLE_ERRORS as error:
                self._refuse(generation.manifest_id, one_line(error))
                generation.close()
                return None
        return generation

    def tidy(self) -> None:
        self._folders.remove_unused()

    def stop(self) -> None:
        self._folders.stop()
        if self._opening:
            self._opening.stop()
            if self._opening.generation:
                self._opening.generation.close()

    def _open(self, wanted: list[Manifest | None] | list[Manifest], ledger: LedgerTail, *, upto: int) -> None:
        """Starts with the first that is not to be left alone for a while."""
        due = [one for one in wanted if self._retry_at.get(one and one.manifest_id, 0.0) <= time.monotonic()]
        if due:
            reach = upto if due[0] is None or due[0].cut <= upto else ENDLESS if upto == ENDLESS else due[0].cut
            self._opening = Opening(self._tables, self._folders, ledger, manifest=due[0], definitions=self._definitions(), secret=self._secret, upto=reach)

    def _opened(self) -> Generation | None:
        """What the opening has made, once it is done."""
        if self._opening is None or not self._opening.done:
            return None
        opening, self._opening = self._opening, None
        if opening.generation is None:
            self._refuse(opening.manifest and opening.manifest.manifest_id, opening.problem or "")
        else:
            self.problem = None
        return opening.generation

    def _refuse(self, manifest_id: int | None, problem: str) -> None:
        self._retry_at[manifest_id] = time.monotonic() + REOPEN_S
        self.problem = f"manifest {manifest_id}: {problem}"
        log.warning("version refused manifest=%s", manifest_id)
