"""What a source that is pulled declares: where its rows are, what its columns hold, and what becomes of a row. The ``pull`` of a source in sources.yml.

batch/sources reads it. Passwords are never part of it: ``password_env`` and ``token_env`` name environment variables.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from millrace.events.webhooks import Given, Pointer, Webhook
from millrace.spans import Span

_ENTITY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_Text = Annotated[str, Field(min_length=1)]


def _entity_name(text: str) -> str:
    if not _ENTITY.fullmatch(text):
        raise ValueError(f"entity name {text!r} is not allowed: lower-case letters, digits and _, starting with a letter, up to 63")
    return text


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        raise ValueError("the name of an environment variable is needed, such as SHOP_DB_PASSWORD; the secret itself never stands in the file")
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"zone {text!r} is unknown; write for example UTC or Europe/Berlin") from None
    return text


Variable = Annotated[str, AfterValidator(_variable)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Part):
    """What a column holds: ``number`` is an exact decimal, ``micros`` one that is written in millionths, ``time`` ISO 8601, or what ``format`` says (as of strptime, or seconds or milliseconds since 1970), ``json`` anything. A row without a
    column that is not ``optional`` is rejected; an empty value is an absent one."""

    type: Literal["text", "number", "micros", "integer", "boolean", "date", "time", "json"] = "text"
    format: _Text | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Column":
        if self.format and self.type not in ("date", "time"):
            raise ValueError(f"`format` is for dates and times, not for {self.type}; leave it out")
        return self


def _spelled(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Pull(_Part):
    """What all kinds share. A row becomes a message (``events``) or a version of an entity (``entity``). ``columns``: what is declared of them; others are taken
    as they come. ``attributes``: what of a row an entity keeps, and under which names; key and changed_at are then among these. ``zone``: of times that name none. ``decimal``: the mark before the decimals in text; with a comma, points group thousands."""

    columns: dict[str, Annotated[Column, BeforeValidator(_spelled)]] = Field(default_factory=dict)
    zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    decimal: Literal[".", ","] = "."
    events: Webhook | None = None
    entity: Annotated[str, AfterValidator(_entity_name)] | None = None
    attributes: dict[str, Given] | None = None
    key: tuple[_Text, ...] = ()
    changed_at: _Text | None = None
    deleted: _Text | None = None
    snapshot: bool = False
    delete_at_most: float = Field(0.5, ge=0, le=1)

    @model_validator(mode="after")
    def _complete(self) -> "Pull":
        if (self.events is None) == (self.entity is None):
            raise ValueError("one of `events` (how a row becomes a message) and `entity` (the name of what rows speak of, such as customers) is needed")
        if self.entity and not self.key:
            raise ValueError("an entity needs a `key`, such as `key: [customer_id]`")
        if self.events and (self.key or self.changed_at or self.deleted or self.snapshot or self.attributes):
            raise ValueError("`key`, `attributes`, `changed_at`, `deleted` and `snapshot` are of entities; events have a mapping only")
        if self.attributes and (unknown := [name for name in (*self.key, self.changed_at, self.deleted) if name and name not in self.attributes]):
            raise ValueError(f"{', '.join(unknown)}: not among the `attributes`, whose names `key`, `changed_at` and `deleted` use")
        if self.events and self.events.each is not None:
            raise ValueError("`each` is of webhooks: a row is one event")
        if self.changed_at and not self.attributes and self.columns.get(self.changed_at, Column(type="time")).type not in ("time", "date"):
            raise ValueError(f"column {self.changed_at} says when a row changed; declare it as `time`")
        return self


class FilesPull(Pull):
    """Files of a folder, or of an object store (``s3://bucket/folder``), in the order of their times. A file younger than ``quiet`` may still be written: it waits."""

    kind: Literal["files"]
    path: _Text
    glob: _Text = "*"
    format: Literal["csv", "jsonl", "parquet"]
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Field(min_length=1, max_length=1)] = '"'
    encoding: _Text = "utf-8"
    quiet: Annotated[Span, Field(ge=0)] = 5

    @model_validator(mode="after")
    def _known_place(self) -> "FilesPull":
        if "@" in urlsplit(self.path).netloc:
            raise ValueError("the URL holds credentials; leave them out and give them to the process as its store's own environment variables")
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ValueError(f"encoding {self.encoding!r} is unknown; write for example utf-8, latin-1 or cp1252") from None
        return self


class JdbcPull(Pull):
    """A table of PostgreSQL (``url: postgresql://host:5432/shop``). With a ``cursor``, a column that only grows, what is new; otherwise all of it every time.
    ``overlap``: how far back of a cursor of times is read again, for rows that are committed late."""

    kind: Literal["jdbc"]
    url: Annotated[str, Field(pattern=r"^(jdbc:)?postgresql://[^@/?#]+/[^@/?#]+$")]
    user: _Text | None = None
    password_env: Variable | None = None
    table: _Text
    cursor: _Text | None = None
    overlap: Annotated[Span, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _one_reading(self) -> "JdbcPull":
        if self.snapshot and self.cursor:
            raise ValueError("`snapshot` needs the whole table and `cursor` reads what is new; choose one")
        return self


class Paging(_Part):
    """How one gets to the next page: ``page`` and ``offset`` count (from ``first``) until a page is empty or shorter than ``size``; ``cursor`` sends what stands at
    the pointer ``next``, ``link`` follows it, or the header Link where no ``next`` is declared. ``parameter``: its name in the query."""

    by: Literal["none", "page", "offset", "cursor", "link"] = "none"
    parameter: _Text | None = None
    first: int | None = None
    size: Annotated[int, Field(ge=1)] | None = None
    next: Pointer | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Paging":
        if self.by == "cursor" and self.next is None:
            raise ValueError("paging by cursor needs `next`, where the cursor stands in an answer, such as /meta/next")
        return self


class HttpPull(Pull):
    """An address that answers with JSON. ``rows``: pointer to the array of rows. ``since``: a parameter that asks for what is new, from the largest value of the
    column ``since_from``. ``token_env``: the variable that holds the token, sent in ``token_header``."""

    kind: Literal["http"]
    url: Annotated[str, Field(pattern=r"^https?://[^@?#]+$")]
    params: dict[str, str | int] = Field(default_factory=dict)
    rows: Pointer = ""
    paging: Paging = Paging()
    since: _Text | None = None
    since_from: _Text | None = None
    token_env: Variable | None = None
    token_header: _Text = "Authorization"
    token_prefix: str = "Bearer "
    timeout: Annotated[Span, Field(ge=1)] = 30

    @model_validator(mode="after")
    def _both(self) -> "HttpPull":
        if (self.since is None) != (self.since_from is None):
            raise ValueError("`since` (the parameter) and `since_from` (the column it takes its value from) belong together")
        if self.snapshot and self.since:
            raise ValueError("`snapshot` needs all rows and `since` asks for what is new; choose one")
        return self


class DebeziumPull(Pull):
    """Change records of a table in a Kafka topic, in the envelope of Debezium as JSON. The time of a change is the database's. Events also have the column
    ``__op`` (c, u, d, or r for a row of a snapshot)."""

    kind: Literal["debezium"]
    bootstrap: _Text
    topic: _Text

    @model_validator(mode="after")
    def _by_record(self) -> "DebeziumPull":
        if self.changed_at or self.deleted or self.snapshot:
            raise ValueError("change records say themselves when they changed and what is gone; leave out `changed_at`, `deleted` and `snapshot`")
        return self


class OwnPull(Pull):
    """A connector of somebody's own: ``connector`` names a class on the Python path, ``module:Class``; ``options`` are given to it."""

    kind: Literal["own"]
    connector: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
    options: dict[str, Any] = Field(default_factory=dict)


AnyPull = Annotated[FilesPull | JdbcPull | HttpPull | DebeziumPull | OwnPull, Field(discriminator="kind")]
KINDS = {"files": FilesPull, "jdbc": JdbcPull, "http": HttpPull, "debezium": DebeziumPull, "own": OwnPull}


def located(problem: Mapping[str, Any]) -> tuple[dict[str, Any], dict[int, tuple[str, ...]]]:
    """A problem of the validation library where a person would look for it (its place without the kind), and the keys that are allowed at each depth."""
    place = list(problem["loc"])
    if problem["type"].startswith("union_tag"):
        found = problem["ctx"].get("tag")
        return {**problem, "loc": (*place, "kind"), "type": "literal_error", "input": found, "ctx": {"expected": ", ".join(KINDS)}}, {}
    model = KINDS.get(str(place.pop(2)) if len(place) > 2 else "", Pull)
    values = ("at", "text", "as")
    fifth = tuple(Column.model_fields) if place[2:3] == ["columns"] else values
    return {**problem, "loc": tuple(place)}, {3: tuple(model.model_fields), 4: tuple((Paging if place[2:3] == ["paging"] else Webhook).model_fields), 5: fifth, 6: values}
