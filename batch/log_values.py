"""The typed values of log rows, read from their payloads as the speed layer read them. The engines and features call it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from millrace.definitions import Definitions
from millrace.enrichment.rules import Enrichment
from millrace.events.values import ValueReader, value_specs
from millrace.tables.catalogue import TIME
from millrace.traits.states import Reads


@dataclass(frozen=True)
class LogValues:
    """``specs``: (path, type) of each value that is wanted. ``rules``: under which enriched ones are computed. Goes to executors as it is."""

    specs: tuple[tuple[str, str], ...]
    rules: Enrichment

    @classmethod
    def of(cls, definitions: Definitions, readers: Iterable[Reads] | None = None) -> "LogValues":
        """What these states and keys read, or those of all views."""
        return cls(tuple(value_specs(definitions.readers if readers is None else readers)), definitions.enrichment)

    def columns(self, payloads: pa.ChunkedArray, event_times: pa.Array | pa.ChunkedArray) -> dict[str, pa.Array]:
        """The values by column name. ``event_times``: of the rows, as the log has them."""
        reader = ValueReader(self.specs, self.rules)
        times = event_times.cast(pa.int64()) if isinstance(event_times, pa.Array) else event_times.combine_chunks().cast(pa.int64())
        return reader.columns(reader.read(payloads), np.asarray(times))

    def types(self) -> dict[str, pa.DataType]:
        """The Arrow type of each column."""
        return {name: values.type for name, values in self.columns(pa.chunked_array([], pa.string()), pa.array([], TIME)).items()}
