"""From messages to the typed values that states read of them: those at paths of the message, and the enriched ones computed from these. Both layers use this reader: speed
on records (standard.py), batch on payloads of the log (batch/log_values.py).
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from millrace.enrichment.enricher import enricher_of
from millrace.enrichment.paths import FAMILY_OF
from millrace.enrichment.rules import Enrichment
from millrace.events.messages import MessageReader, Messages, numbers
from millrace.traits.fold import PLAIN_PATHS, value_column
from millrace.traits.states import Reads

Specs = Sequence[tuple[str, str]]
"""(path, type) of values."""


def value_specs(readers: Iterable[Reads]) -> list[tuple[str, str]]:
    """(path, type) of each value that states and keys read from messages."""
    return sorted({read for reader in readers for read in reader.reads if read[0] not in PLAIN_PATHS})


class ValueReader:
    """Reads messages for the values of ``specs`` and for identity. ``rules``: of enriched values; nothing of them is loaded when no spec asks for one."""

    def __init__(self, specs: Specs, rules: Enrichment | None = None) -> None:
        self._plain = [spec for spec in specs if spec[0] not in FAMILY_OF]
        self._enriched = [spec for spec in specs if spec[0] in FAMILY_OF]
        self._enricher = enricher_of(tuple(self._enriched), (rules or Enrichment()).model_dump_json()) if self._enriched else None
        inputs = self._enricher.inputs if self._enricher else ()
        self._reader = MessageReader([*(path for path, _ in self._plain), *inputs])

    def read(self, payloads: pa.ChunkedArray) -> Messages:
        """The messages of a column of bytes or text."""
        return self._reader.read(payloads)

    def columns(self, messages: Messages, times: np.ndarray) -> dict[str, pa.Array]:
        """One column for each (path, type), named as the fold expects them. ``times``: of the events, microseconds since 1970."""
        found = {value_column(*spec): messages.value(*spec) for spec in self._plain}
        if self._enricher is None:
            return found
        values = self._enricher.values(messages, times.tolist())
        return found | {value_column(*spec): _typed(values[spec[0]], spec[1]) for spec in self._enriched}


def _typed(values: Sequence[str | None], value_type: str) -> pa.Array:
    return numbers(values) if value_type == "number" else pa.array(values, pa.string())
