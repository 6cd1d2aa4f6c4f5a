"""How the laws are tried: as properties over random histories, as many as tests/tiers.py says, under the run's seed."""

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st

from tests.laws.histories import Choose, Record, history, some_traits
from tests.tiers import LAW_EXAMPLES, SEED


def law(share: float = 1.0) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A property tried on ``share`` of the run's examples (at least 50), under the run's seed."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
    configured = settings(max_examples=max(50, int(LAW_EXAMPLES * share)), deadline=None, suppress_health_check=quiet, database=None, print_blob=True)
    return lambda test: seed(SEED)(configured(test))


def chooser(given: bytes) -> Choose:
    """Choices from bytes: one byte each, zero when they run out, so that shorter and smaller bytes are simpler histories."""
    left = iter(given)
    return lambda count: next(left, 0) % count


def seeded(number: int) -> Choose:
    return random.Random(number).randrange


@st.composite
def histories(draw: st.DrawFn, most: int = 16, epochs: int = 4) -> tuple[list[Record], dict[str, Any]]:
    """Records and traits. Each record is one draw of bytes: hypothesis can leave records out and make them plainer."""
    traits = some_traits(chooser(draw(st.binary(min_size=1, max_size=8))))
    parts = draw(st.lists(st.binary(min_size=0, max_size=22), max_size=most))
    padded = b"".join(part.ljust(22, b"\0") for part in parts)
    return history(chooser(b"\0" + padded), len(parts), epochs), dict(traits)
