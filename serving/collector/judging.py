"""The tracking plan at the door: stands before the producer, judges every record of a request, refuses it or writes the verdict on it. app.py puts it there.

Whatever way records came in (calls, other dialects, webhooks), this is the last place before the topic: what is judged is what the log will hold.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from millrace.definitions import Definitions
from millrace.tracking_plan.verdicts import Judge, Violation
from serving.collector.figures import Figures
from serving.collector.publishing import Producer, Readiness, Record
from serving.collector.refusals import Refusal, invalid


class Named(msgspec.Struct, gc=False):
    """What decides which plan a message is of."""

    type: str | None = None
    event: str | None = None
    name: str | None = None


_named = msgspec.json.Decoder(Named)


def judged(producer: Producer, definitions: Definitions, figures: Figures) -> Producer:
    """The producer behind the tenant's plan; itself where there is none."""
    return producer if definitions.plan_hash is None else JudgedProducer(producer, definitions, Judge(definitions.tracking_plan, definitions.plan_hash), figures)


class JudgedProducer:
    """See publishing.Producer. ``publish`` raises a Refusal for a request that violates the plan where the source blocks; then nothing of it is sent."""

    def __init__(self, producer: Producer, definitions: Definitions, judge: Judge, figures: Figures) -> None:
        self._producer, self._definitions, self._judge, self._figures = producer, definitions, judge, figures
        self.start, self.close = producer.start, producer.close

    def readiness(self) -> Readiness:
        return self._producer.readiness()

    def publish(self, records: Sequence[Record], source: str, stamps: Sequence[bytes] | None = None) -> asyncio.Future[None]:
        blocks = self._definitions.source(source).mode == "block"
        stamps = []
        for number, (_, value) in enumerate(records):
            message = _named.decode(value)
            name = message.event if message.type == "track" else message.name
            violations = self._judge.violations(value, message.type, name)
            if violations:
                label = self._judge.label(message.type, name)
                self._figures.violated(source, label, violations)
                if blocks:
                    refusal = _refusal(label, violations)
                    raise refusal.within(f"batch[{number}]") if len(records) > 1 else refusal
            stamps.append(self._judge.stamp(violations))
        return self._producer.publish(records, source, stamps)


def _refusal(event: str, violations: Sequence[Violation]) -> Refusal:
    field, rule = violations[0]
    others = f", and {len(violations) - 1} more" if len(violations) > 1 else ""
    return invalid(
        "plan_violation", field, f"found what breaks the rule {rule!r} of the tracking plan of {event}{others}, allowed what the plan says of {field}; correct the message"
    )
