"""Figures of data health for Prometheus, made when they are asked for. Labels are sources that are declared (or http, kafka, ``*`` for all) and names of measures: what
a producer wrote as its source counts as ``(other)``."""

from collections.abc import Callable, Collection, Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from millrace.errors import MillraceError
from millrace.events.sources import HTTP
from millrace.times import MICROS
from serving.data_health.answering import OTHERS, DataHealth
from serving.data_health.measures import EVERYBODY

_KAFKA = "kafka"


class HealthFigures(Collector):
    """``declared``: names of sources; ``clock`` in microseconds."""

    def __init__(self, health: DataHealth, declared: Callable[[], Collection[str]], clock: Callable[[], int]) -> None:
        self._health, self._declared, self._clock = health, declared, clock

    def describe(self) -> list[Metric]:
        """Nothing is read when the collector is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        known, now = {*self._declared(), HTTP, _KAFKA, EVERYBODY}, self._clock()
        problem = GaugeMetricFamily("data_health_problem", "1 while the watch of data health has something to tell, see GET /v1/data-health")
        anomalies = GaugeMetricFamily("data_health_anomalies", "Anomalies that are open, by source and measure", labels=("source", "measure"))
        try:
            found: dict[tuple[str, str], int] = {}
            for (source, measure), count in self._health.open_anomalies().items():
                key = source if source in known else OTHERS, measure
                found[key] = found.get(key, 0) + count
            for key, count in sorted(found.items()):
                anomalies.add_metric(key, count)
            yield anomalies
            is_unread = False
        except (MillraceError, OSError):
            is_unread = True
        progress = self._health.progress()
        problem.add_metric((), float(is_unread or progress is None or progress.problem is not None))
        yield problem
        if progress is None:
            return
        yield GaugeMetricFamily("data_health_watched_seconds", "Time since the watch last looked", value=max(now - progress.seen_at, 0) / MICROS)
        if progress.window is not None:
            yield GaugeMetricFamily("data_health_window_end_seconds", "End of the last window that is final, since 1970", value=progress.window)
        age = GaugeMetricFamily("data_health_age_seconds", "Time since the last record of a source was received", labels=("source",))
        breached = GaugeMetricFamily("data_health_freshness_breached", "1 while the promise of freshness of a source is broken", labels=("source",))
        for source, last in sorted(progress.last.items()):
            if source in known:
                age.add_metric((source,), max(now - last, 0) / MICROS)
        for source in sorted(progress.promises):
            breached.add_metric((source,), float(source in progress.breached))
        yield age
        yield breached
