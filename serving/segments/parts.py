"""What a follower of segments is given: running.py fills it for the job, tests with a clock and a topic of their own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from millrace.definitions import Definitions
from millrace.tables.delta import TenantTables
from millrace.traits.views import View
from serving.segments.delivery import Publisher
from serving.segments.rules import Rules

log = logging.getLogger(__name__)


@dataclass
class Parts:
    """What the follower is made of. ``rules``: the segments for a version that serves this view; called often, it must be quick when nothing has changed;
    ``trouble``: what is wrong with the definitions, if anything."""

    tables: TenantTables
    publisher: Publisher
    definitions: Callable[[], Definitions]
    rules: Callable[[View], Rules]
    secret: bytes
    clock: Callable[[], int]
    poll_s: float
    trouble: Callable[[], str | None] = lambda: None
    problems: dict[str, str] = field(default_factory=dict)

    def tell(self, topic: str, problem: str | None) -> None:
        """Notes what keeps the follower from going on with something, or that nothing does any more."""
        if self.problems.get(topic) == problem:
            return
        if problem is None:
            self.problems.pop(topic, None)
        else:
            self.problems[topic] = problem
        log.warning("problem topic=%s present=%s", topic, problem is not None)
