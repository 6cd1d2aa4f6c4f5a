"""Keeps memberships up to date: follows epochs, decisions, publishes, time and rules, and tells every change once. jobs/follow_segments.py runs it.

One thread, one round after another: what has come is taken in, everybody it touches is looked at, timers that are due are fired, some more persons are
settled; then all of that becomes durable in one transaction and the changes go out (delivery.py). A round that fails leaves nothing behind: the state is
opened again at its last commit.
"""

import logging
import threading
import time

from millrace.errors import BrokerUnavailable
from millrace.faults import crash_point
from millrace.identity.decisions import UNDECIDED, read_decisions
from millrace.tables.catalogue import DECISIONS, MANIFESTS
from millrace.tables.manifest import Manifest, read_manifests
from serving.segments.affected import is_settled
from serving.segments.delivery import Delivery
from serving.segments.judging import Judge
from serving.segments.movement import Movements
from serving.segments.parts import Parts
from serving.segments.progress import Progress, Teller
from serving.segments.recovery import open_state
from serving.segments.rules import Rules
from serving.segments.settling import Settling
from serving.segments.versions import Versions
from serving.store.base_building import PERSON
from serving.store.commits import CommitLog
from serving.store.generation import Generation
from serving.store.ledger_tail import LedgerTail
from serving.store.opening import TABLE_ERRORS, one_line

log = logging.getLogger(__name__)
RETRY_S = 1.0
ROUND_S = 0.25
"""Epochs are taken in for so long before what they change is made durable and told."""
BATCH_ROWS = 20_000
"""Changes of a batch, at most: what Kafka takes well within its time."""
BESIDE_S = 0.1
"""For so long timers are fired, and persons settled, between two looks for new epochs: somebody may wait for a change."""
AT_ONCE = 500
"""Timers fetched at once."""


class SegmentFollower:
    """``run`` until told to stop. ``is_ready``: it has caught up and looked at everybody once."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._tables = parts, parts.tables
        self.ready = threading.Event()
        self._delivery = Delivery(parts.tables, parts.publisher)
        self._teller = Teller(parts.tables)
        self._retry_at = 0.0
        self._begin()

    @property
    def is_ready(self) -> bool:
        return self.ready.is_set()

    def run(self, stop: threading.Event) -> None:
        """Rounds until ``stop``; a wait where there is nothing to do."""
        while not stop.is_set():
            try:
                is_busy = self.round()
                self._parts.tell("follower", None)
            except TABLE_ERRORS as error:
                self._parts.tell("follower", one_line(error))
                is_busy = False
                stop.wait(RETRY_S)
                self._start_over()
            if not is_busy:
                stop.wait(self._parts.poll_s)

    def close(self) -> None:
        self._versions.stop()
        self._end_settling()
        if self._generation:
            self._generation.close()
        self._state.close()

    def round(self) -> bool:
        """One round; whether there may be more to do at once."""
        self._look()
        if self._generation is None:
            return False
        is_behind = fired = False
        if self._settling is None or self._settling.as_of is None:
            self._follow_versions(self._generation)
            self._follow_rules(self._generation)
            is_behind = self._follow_epochs(self._generation)
            self._follow_decisions(self._generation)
            fired = self._fire(self._generation)
        is_settling = self._settle(self._generation)
        self._make_durable(self._generation)
        self._deliver()
        if not (is_behind or is_settling or self.ready.is_set()):
            self.ready.set()
        return is_behind or fired or is_settling

    def _begin(self) -> None:
        """From the last commit of the state on."""
        parts = self._parts
        self._state = open_state(self._tables, parts.publisher)
        self._movements = Movements(self._state, parts.clock)
        self._versions = Versions(self._tables, parts.definitions, secret=parts.secret)
        self._ledger = LedgerTail(self._tables)
        self._manifest_log, self._decision_log = CommitLog(self._tables, MANIFESTS), CommitLog(self._tables, DECISIONS)
        self._manifests: list[Manifest] = []
        self._decisions = UNDECIDED
        self._looked = False
        self._generation: Generation | None = None
        self._settling: Settling | None = None
        self._judge: Judge | None = None

    def _start_over(self) -> None:
        self.close()
        self._begin()

    def _look(self) -> None:
        """What the tables have come to; the first generation, once it is open."""
        if not self._looked:
            self._manifest_log.snapshot()
            self._decision_log.snapshot()
        self._ledger.poll()
        if self._manifest_log.poll() or not self._looked:
            self._manifests = read_manifests(self._tables)
        if self._decision_log.poll() or not self._looked:
            self._decisions = read_decisions(self._tables)
        self._looked = True
        if self._generation is None:
            position = self._state.position
            is_new = position.settled < 0 and not position.head
            generation = self._versions.begin(self._manifests, self._ledger, position, is_new=is_new)
            self._parts.tell("version", self._versions.problem)
            if generation is not None:
                self._enter(generation, is_leap=is_new or (generation.head, generation.decisions) != (position.head, position.decisions))

    def _enter(self, generation: Generation, *, is_leap: bool) -> None:
        """From now on persons are looked at through this version. After a leap nothing can be compared: what is found is no difference."""
        position, old = self._state.position, self._generation
        is_comparable = not is_leap and self._settling is None and is_settled(old, generation, position)
        self._end_settling()
        self._movements.found.clear()
        self._generation, position.manifest_id = generation, generation.manifest_id
        self._use(generation, self._parts.rules(generation.definitions.views[PERSON]))
        if is_leap or position.pending or position.settled != (generation.manifest_id or 0):
            is_proof, is_first = not is_leap and position.settled >= 0, position.settled < 0 and not position.made_again
            as_of = None if is_proof or is_first else self._until(generation) if is_leap else position.made_again or None
            before = old if is_comparable and not position.pending else None
            self._settling = Settling(self._state, self._movements, generation, names=self._rules.names, is_proof=is_proof, as_of=as_of, old=before)
            old = None if before else old
        if old:
            old.close()
        log.info("following manifest=%s head=%d leap=%s", generation.manifest_id, generation.head, is_leap)

    def _use(self, generation: Generation, rules: Rules) -> None:
        """Other rules: everybody is looked at under them; what that changes in these segments is because of the definition."""
        position = self._state.position
        self._rules = rules
        before = rules.prints if position.rules == rules.hash else position.prints
        changed = {name for name in {*before, *rules.prints} if before.get(name) != rules.prints.get(name)}
        position.rules, position.prints = rules.hash, dict(rules.prints)
        position.pending = sorted({*position.pending, *changed})
        self._judge = Judge(generation.definitions.views[PERSON], generation.layout, rules)
        self._movements.use(generation, self._judge)
        if changed and not position.made_again:
            is_proof = self._settling is not None and self._settling.is_proof
            self._end_settling()
            self._settling = Settling(self._state, self._movements, generation, names=rules.names, is_proof=is_proof)
            log.info("rules changed segments=%d of=%d", len(changed), len(rules.prints))

    def _end_settling(self) -> None:
        if self._settling is not None:
            self._settling.close()
            self._settling = None

    def _follow_versions(self, serving: Generation) -> None:
        if (generation := self._versions.follow(self._manifests, self._ledger, serving)) is not None:
            self._enter(generation, is_leap=generation.head > serving.head)
            self._versions.tidy()
        self._parts.tell("version", self._versions.problem)

    def _follow_rules(self, generation: Generation) -> None:
        generation.know(self._parts.definitions())
        self._parts.tell("definitions", self._parts.trouble())
        rules = self._parts.rules(generation.definitions.views[PERSON])
        if rules.hash != self._rules.hash:
            self._use(generation, rules)
        elif rules.waiting != self._rules.waiting:
            self._rules = rules

    def _follow_epochs(self, generation: Generation) -> bool:
        """Epoch by epoch, each as of the moment it came to exist; whether there are more."""
        reach = generation.reach(self._ledger)
        self._parts.tell("head", reach.problem)
        until = time.monotonic() + ROUND_S
        while generation.head < reach.head and time.monotonic() < until:
            epoch = generation.head + 1
            self._movements.step(generation.prepare(self._ledger, epoch), self._ledger.committed_at(epoch))
        return generation.head < reach.head

    def _follow_decisions(self, generation: Generation) -> None:
        if self._decisions.number > generation.decisions and (change := generation.decide(self._decisions)):
            self._movements.decide(change, self._parts.clock())

    def _fire(self, generation: Generation) -> bool:
        """Timers that are due; whether there may be more."""
        now = self._until(generation)
        due, until = self._state.due(now, AT_ONCE), time.monotonic() + BESIDE_S
        for person_id in due:
            self._movements.fire(person_id, now)
            if time.monotonic() >= until:
                return True
        return len(due) == AT_ONCE

    def _until(self, generation: Generation) -> int:
        """The instant up to which what is known of persons is all there is: now, or when the next epoch came to exist."""
        now = self._parts.clock()
        return min(now, self._ledger.committed_at(generation.head + 1)) if generation.head < self._ledger.head else now

    def _settle(self, generation: Generation) -> bool:
        if self._settling is None:
            return False
        if self._settling.some(self._until(generation), time.monotonic() + BESIDE_S):
            return True
        self._settling.finish(self._tables, self._parts.clock)
        self._end_settling()
        self._versions.tidy()
        return False

    def _make_durable(self, generation: Generation) -> None:
        position, rows = self._state.position, self._movements.taken()
        position.head, position.decisions = generation.head, generation.decisions
        for start in range(0, len(rows), BATCH_ROWS):
            self._state.tell(rows[start : start + BATCH_ROWS])
        self._state.commit()
        if rows:
            crash_point("segments.decided")
        self._teller.tell(Progress.of(position, self._rules, now=self._parts.clock(), problems=self._parts.problems))

    def _deliver(self) -> None:
        self._delivery.append(self._state)
        if time.monotonic() < self._retry_at:
            return
        try:
            self._delivery.publish(self._state)
            self._parts.tell("delivery", None)
        except BrokerUnavailable as error:
            self._retry_at = time.monotonic() + RETRY_S
            self._parts.tell("delivery", one_line(error))
