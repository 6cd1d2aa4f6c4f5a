"""The store of one tenant: answers about people at the newest provable epoch, from Delta tables, without a JVM. The API calls it.

Any thread may ask. A read pins (manifest, head) once, under a lock that is held for microseconds; decoding and merging follow outside it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.settings import DEFAULTS, ApiSettings
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING
from millrace.traits.finish import micros
from millrace.traits.views import View
from serving.store.answers import Pinned, Point, Profile, answer
from serving.store.base_building import PERSON
from serving.store.following import Follower
from serving.store.keyed import PinnedKey
from serving.store.receipts import Sealer

ALIVE_S = 30.0
"""A tailing thread that has not looked for so long counts as dead."""


def now_micros() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Status:
    """Where the store stands. ``decisions``: the last one it has taken in. ``complete``: nothing keeps answers from the newest epochs; ``problem`` says what does, or why a manifest is refused."""

    ready: bool
    head: int
    manifest_id: int | None
    cut: int
    log: dict[str, int]
    complete: bool
    problem: str | None
    keys_after_cut: int
    staleness_ms: int
    decisions: int


@dataclass(frozen=True)
class FillingBack:
    """Traits that are declared and not answered yet. The stream counts them since epoch ``since`` (None: it has not gone over to them); the first publish whose cut is
    not older brings them with all of history, ``epochs`` at the head."""

    traits: list[str]
    since: int | None
    cut: int
    epochs: int


class Store:
    """Start it, ask it, close it. ``secret`` is the tenant's token secret; ``clock`` gives microseconds since 1970; ``newest``, where somebody sets it, the definitions
    as they have become since."""

    def __init__(
        self, root: str | Path, tenant: str, definitions: Definitions, *, secret: bytes, clock: Callable[[], int] = now_micros, settings: ApiSettings = DEFAULTS.api
    ) -> None:
        self.tables = TenantTables(root, tenant)
        self.definitions, self.clock, self.sealer = definitions, clock, Sealer(secret)
        self.newest: Callable[[], Definitions] = lambda: definitions
        self._follower = Follower(self.tables, lambda: self.newest(), secret=secret, poll_s=settings.poll, reopen_s=settings.reopen_after)
        self._lock = self._follower.lock

    def start(self) -> "Store":
        self._follower.start()
        return self

    def close(self) -> None:
        """Stops following; nothing may be asked afterwards."""
        self._follower.stop()

    def wait_ready(self, timeout_s: float) -> bool:
        """Whether a batch version (or none, before the first publish) and the epochs on top are loaded."""
        return self._follower.ready.wait(timeout_s)

    @property
    def is_serving(self) -> bool:
        """Whether anything can be answered; until then nothing follows from a node that is not found."""
        return self._follower.serving is not None

    def profile(self, node: str, as_of: datetime | None = None) -> Profile | None:
        """The person a node belongs to, merged at the head, as of a time (default: now); None when nobody has seen the node."""
        with self._lock:
            serving = self._follower.serving
            pinned = serving.pin(node) if serving else None
        if pinned is None:
            return None
        now = self.clock()
        return answer(pinned, at=now if as_of is None else micros(as_of), now=now, sealer=self.sealer)

    def pin(self, nodes: Sequence[str | None]) -> list[Pinned | None]:
        """Parts of many answers, all at the same head; None for what is unknown."""
        with self._lock:
            serving = self._follower.serving
            return [serving.pin(node) if serving and node else None for node in nodes]

    def pin_keys(self, view: str, keys: Sequence[str]) -> list[PinnedKey | None]:
        """Parts of the answers about keys of another view than that of persons, all at the same head."""
        with self._lock:
            serving = self._follower.serving
            return [serving.pin_key(view, key) if serving else None for key in keys]

    def page_of_keys(self, view: str, *, after: str, limit: int) -> list[PinnedKey]:
        """The next keys of such a view in order, with the parts of their answers, all at the same head."""
        with self._lock:
            serving = self._follower.serving
            keys = serving.keys(view, after=after, limit=limit) if serving else []
            return [pinned for key in keys if serving and (pinned := serving.pin_key(view, key)) is not None]

    def keyed_views(self) -> dict[str, View]:
        """The views of other keys that are served, by name; the newest definitions may have others."""
        with self._lock:
            serving = self._follower.serving
            return {name: view for name, view in serving.definitions.views.items() if serving.keyed.get(name)} if serving else {}

    def people(self, at_once: int = 50) -> Iterator[Pinned]:
        """Parts of the answers about everybody, taken some at a time: others who ask need not wait, and heads may differ. CoverageError when another batch
        version is served before the end."""
        with self._lock:
            serving = self._follower.serving
            everybody = serving.people() if serving else iter(())
        while True:
            with self._lock:
                if self._follower.serving is not serving:
                    raise CoverageError("another batch version is served by now; ask again")
                found = [serving.pin(person.members[0].node) for person in islice(everybody, at_once)] if serving else []
            if not found:
                return
            yield from (pinned for pinned in found if pinned is not None)
            time.sleep(0)

    def anchor(self, person: str) -> str | None:
        """The node that a person of this id is or was named after; None when there is none."""
        while True:
            with self._lock:
                serving = self._follower.serving
                node, more = serving.anchor(person) if serving else (None, False)
            if node is not None or not more:
                return node

    def point(self) -> Point | None:
        """Where answers stand; None until there are any."""
        with self._lock:
            return self._follower.serving.point if self._follower.serving else None

    def filling_back(self) -> FillingBack | None:
        """What of the newest definitions no published version has; None when nothing is missing."""
        newest, ledger = self.newest(), self._follower.ledger
        with self._lock:
            serving = self._follower.serving
        if serving is None or ledger is None or serving.definitions.hash == newest.hash:
            return None
        declared, served = (_declared(one) for one in (newest, serving.definitions))
        traits = [name for name, trait in declared.items() if trait != served.get(name)]
        return FillingBack(traits, ledger.written_since(newest.hash), serving.cut, serving.head)

    def status(self) -> Status:
        follower = self._follower
        with self._lock:
            serving, problems, complete = follower.serving, dict(follower.problems), follower.complete
            head, decisions = (serving.head, serving.decisions) if serving else (NOTHING, 0)
        alive = time.monotonic() - follower.looked_at < ALIVE_S
        nothing = dict.fromkeys(("accepted", "rejected", "duplicate", "received"), 0)
        return Status(
            ready=follower.ready.is_set() and alive,
            head=head,
            manifest_id=serving.manifest_id if serving else None,
            cut=serving.cut if serving else NOTHING,
            log=follower.ledger.counts(head) if follower.ledger else nothing,
            complete=complete,
            problem="; ".join(problems[topic] for topic in sorted(problems)) or None,
            keys_after_cut=serving.keys_after_cut if serving else 0,
            staleness_ms=max(self.clock() - follower.ledger.committed_at(head), 0) // 1000 if follower.ledger and head else 0,
            decisions=decisions,
        )


def _declared(definitions: Definitions) -> dict[str, object]:
    """Every trait by name; those of other views than that of persons with the name of their view before theirs, and what their keys are."""
    found: dict[str, object] = {}
    for name, view in definitions.views.items():
        found |= {trait if name == PERSON else f"{name}.{trait}": one if name == PERSON else (one, view.key) for trait, one in {**view.traits, **view.derived}.items()}
    return found
