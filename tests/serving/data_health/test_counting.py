"""Which values are looked at, and that tallies add up in whatever order and parts their records come."""

import random
from collections import Counter

import numpy as np
import pyarrow as pa

from millrace.definitions import Definitions
from serving.data_health.fields import fields_of
from serving.data_health.tally import ABSENT, MOST_NAMES, OTHER, Names, lateness_steps, seconds_of_step
from serving.data_health.values import TEXT_BUCKETS, buckets

PLAN = {
    "event": "Order", "version": 1,
    "rules": {"properties": {"properties": {"type": "object", "required": ["id"], "properties": {"total": {"type": "number"}, "lines": {"type": "array"}, "ship": {"type": "object", "properties": {"city": {"type": "string"}}}}}}},
}  # fmt: skip


def test_fields_are_what_traits_read_and_what_the_plan_names_where_they_do():
    traits = {
        "spend": {"op": "sum", "event": "Order", "value": "properties.total"}, "city": {"op": "last", "type": "identify", "value": "traits.city"},
        "locale": {"op": "last", "value": "context.locale"}, "seen": {"op": "max", "value": "event_time"}, "country": {"op": "last", "value": "enriched.country"},
        "dear": {"op": "count", "event": "View", "where": {"properties.price": {"gt": 5}}},
        "sold": {"op": "sum", "event": "Order", "value": "properties.lines[].quantity"},
    }  # fmt: skip
    definitions = Definitions.model_validate({"views": {"person": {"key": "node", "traits": traits}}, "tracking_plan": [PLAN]})
    found = {field.about: field.kind for field in fields_of(definitions)}
    assert found == {
        "Order: properties.total": "number", "identify calls: traits.city": "string", "any event: context.locale": "string", "View: properties.price": "number",
        "Order: properties.id": "string", "Order: properties.ship.city": "string",
    }  # fmt: skip


def test_of_too_many_names_the_same_are_kept_in_any_order_and_split():
    chance = random.Random(3)
    names = [(f"event {number}", 1 + number % 3) for number in range(MOST_NAMES + 300)] * 2
    whole = Names()
    whole.add(names)
    for _ in range(5):
        chance.shuffle(names)
        cut = chance.randrange(len(names))
        left, right = Names(), Names()
        left.add(names[:cut])
        right.add(names[cut:])
        left.merge(right)
        assert left.counts == whole.counts
    assert len(whole.counts) == MOST_NAMES + 1 and whole.counts.total() == sum(count for _, count in names)
    assert whole.counts[OTHER] > 0


def test_steps_of_lateness_are_within_half_a_percent_on_both_sides_of_zero():
    for seconds in (0.005, 0.3, 1.0, 59.0, 7_200.0, 4e8):
        for side in (1, -1):
            (step,) = lateness_steps(np.array([side * seconds * 1e6]))
            assert abs(seconds_of_step(int(step)) / (side * seconds) - 1) < 0.0051
    assert seconds_of_step(int(lateness_steps(np.array([0]))[0])) == 0


def test_buckets_tell_sizes_signs_and_what_is_missing_and_no_text():
    numbers = buckets(pa.array([None, 0, 10, 11, 20, -10], pa.decimal128(24, 9)))
    assert numbers[0] == ABSENT and numbers[2] == numbers[3] != numbers[4] and len({*numbers[1:].tolist()}) == 4
    texts = buckets(pa.array(["a", None, "b", "a"]))
    assert texts[1] == ABSENT and texts[0] == texts[3] and max(texts) < TEXT_BUCKETS
    assert buckets(pa.array([None, None], pa.string())).tolist() == [ABSENT, ABSENT]


def test_texts_spread_over_the_buckets():
    assert len(Counter(buckets(pa.array([f"product {number}" for number in range(2_000)])).tolist())) == TEXT_BUCKETS
