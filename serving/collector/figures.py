"""What the collector counts about itself, for ``/metrics``. Labels come from fixed sets: no path, key or value of a client is ever a label."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from millrace.tracking_plan.verdicts import Violation
from serving.collector.publishing import Readiness

ACKNOWLEDGED = "acknowledged"
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Figures:
    """One registry a collector, so that several live in one process."""

    def __init__(self, readiness: Callable[[], Readiness], calls: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("collector_requests", "Requests by call and outcome (acknowledged, or the code of the refusal)", ("call", "outcome"), registry=self._registry)
        self._events = Counter("collector_events", "Events the broker has acknowledged", registry=self._registry)
        self._withheld = Counter("collector_withheld_events", "Events not kept because their browser objects (DNT, Sec-GPC)", registry=self._registry)
        self._seconds = Histogram("collector_acknowledge_seconds", "From the complete body to the acknowledgement of the broker", buckets=SECONDS, registry=self._registry)
        self._violations = Counter(
            "collector_plan_violations", "Violations of the tracking plan", ("source", "event", "field", "rule"), registry=self._registry
        )
        self._paused = Gauge("collector_source_paused", "1 for a source that its breaker has paused", ("source",), registry=self._registry)
        Gauge("collector_queued_events", "Events waiting for the broker", registry=self._registry).set_function(lambda: readiness().queued)
        Gauge("collector_queue_limit", "Events that may wait for the broker", registry=self._registry).set_function(lambda: readiness().queue_limit)
        Gauge("collector_broker_answers", "1 when the broker acknowledged the last metadata request", registry=self._registry).set_function(lambda: readiness().broker_answers)

        self._acknowledged = {call: self._requests.labels(call, ACKNOWLEDGED) for call in calls}

    def acknowledged(self, call: str, events: int, seconds: float, *, withheld: int = 0) -> None:
        self._acknowledged[call].inc()
        self._events.inc(events)
        self._withheld.inc(withheld)
        self._seconds.observe(seconds)

    def refused(self, call: str, code: str) -> None:
        self._requests.labels(call, code).inc()

    def violated(self, source: str, event: str, violations: Iterable[Violation]) -> None:
        """``event`` and the fields are names of the plan."""
        for field, rule in violations:
            self._violations.labels(source, event, field, rule).inc()

    def paused(self, sources: Iterable[str]) -> None:
        """The sources that are paused now, and no others."""
        self._paused.clear()
        for source in sources:
            self._paused.labels(source).set(1)

    def text(self) -> bytes:
        return generate_latest(self._registry)
