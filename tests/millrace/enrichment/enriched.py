"""Values of messages under rules, the way both layers read them."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.enrichment.paths import FAMILY_OF
from millrace.enrichment.rules import Enrichment
from millrace.events.messages import Messages
from millrace.events.values import ValueReader
from millrace.traits.fold import value_column

AT = "2026-03-02T10:00:00Z"


def rules(folder: Path | None = None, **found: Any) -> Enrichment:
    return Enrichment.model_validate(found, context={"directory": folder} if folder else None)


def read(messages: list[dict[str, Any]], specs: list[tuple[str, str]], under: Enrichment, *, at: str = AT) -> tuple[dict[str, list[Any]], Messages]:
    """By path the values of messages that all happened at one time."""
    reader = ValueReader(specs, under)
    found = reader.read(pa.chunked_array([[json.dumps(message) for message in messages]], pa.string()))
    micros = int(datetime.fromisoformat(at).astimezone(UTC).timestamp()) * 1_000_000
    columns = reader.columns(found, np.full(len(messages), micros))
    return {path: columns[value_column(path, kind)].to_pylist() for path, kind in specs}, found


def family(name: str, message: dict[str, Any], under: Enrichment | None = None, *, at: str = AT) -> dict[str, Any]:
    """What is not null of a family's values of one message, by path without its beginning."""
    paths = [path for path, of in FAMILY_OF.items() if of == name]
    found, _ = read([message], [(path, "string") for path in paths], under or Enrichment(), at=at)
    return {path.removeprefix("enriched."): value for path, (value,) in found.items() if value is not None}


def page(url: str | None = None, referrer: str | None = None, **context: Any) -> dict[str, Any]:
    told = {"url": url, "referrer": referrer}
    return {"context": {"page": {name: value for name, value in told.items() if value is not None}, **context}}
