"""What a tenant declares about its sources (sources.yml): whose data it is, what becomes of records against the tracking plan, when a source is stopped.

Part of the definitions. A source that the file does not name has the defaults; ``http`` is what comes with the tenant's own write key, ``kafka`` what
others wrote into the topic without saying where it is from.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from millrace.events.pulls import AnyPull
from millrace.events.webhooks import Webhook
from millrace.spans import Span, span_text
from millrace.traits.windows import DAY, LONGEST

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
HTTP = "http"
"""Source of events that come with the tenant's write key."""

LONGEST_OF_THIRD = 90 * DAY
"""The longest term of data of a third party, in seconds."""

_Limit = Annotated[Span, Field(ge=1)]


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _names(purposes: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [name for name in purposes if not NAME.fullmatch(name)]:
        raise ValueError(f"found {', '.join(map(repr, wrong))}; purposes are names such as advertising, analytics, service: lower-case letters, digits, _ and -")
    return purposes


_Purposes = Annotated[tuple[str, ...], BeforeValidator(_as_list), AfterValidator(_names)]


class Breaker(BaseModel):
    """A source is stopped (``pause``) or only reported (``flag``) when within ``window`` at least ``count`` of its records were rejected and they were at
    least ``share`` of all it sent. A paused source is let in again after ``pause``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    share: float = Field(0.5, gt=0, le=1)
    count: int = Field(1_000, ge=1)
    window: _Limit = 300
    action: Literal["pause", "flag"] = "flag"
    pause: _Limit = 300


class Source(BaseModel):
    """One source. ``mode``: what becomes of a record that violates the tracking plan: ``block`` refuses its request, ``quarantine`` puts it into
    log/rejected, ``flag`` accepts it with its violations beside it. ``party``: whose data it is. ``purpose``: what for it may be used; shown, nothing depends on it.
    ``retention``: its term, after which nothing of it is left (ADR 0028); absent: kept.
    ``do_not_track``: what becomes of what a browser sends with DNT or Sec-GPC (ADR 0023). ``webhook``: how the bodies of a plain webhook become events.
    ``pull``: where rows are fetched that nobody sends (ADR 0025). ``freshness``: how long the log may be without a new record of it; beyond, the promise is broken
    until the next one (ADR 0027)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["block", "quarantine", "flag"] = "flag"
    party: Literal["first", "second", "third"] = "first"
    purpose: _Purposes = ()
    retention: _Limit | None = None
    breaker: Breaker | None = None
    do_not_track: Literal["keep", "anonymous", "drop"] = "anonymous"
    webhook: Webhook | None = None
    pull: AnyPull | None = None
    freshness: _Limit | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Source":
        if self.party == "third" and self.retention is None:
            raise ValueError("data of a third party needs a term; write for example `retention: 90d`")
        longest = LONGEST_OF_THIRD if self.party == "third" else LONGEST
        if self.retention is not None and (self.retention % DAY or not DAY <= self.retention <= longest):
            whose = "data of a third party" if self.party == "third" else "data"
            raise ValueError(f"retention {span_text(self.retention)} is not allowed: {whose} may have a term of 1d to {longest // DAY}d, in whole days")
        return self

    @property
    def term(self) -> int:
        """Seconds from when something happened until nothing of it may be left; 0 for always kept."""
        return int(self.retention or 0)


def _named(sources: dict[str, Source]) -> dict[str, Source]:
    if problems := list(_name_problems(sources)):
        raise ValueError("; ".join(problems))
    return sources


def _name_problems(sources: dict[str, Source]) -> Iterator[str]:
    for name in sources:
        if not NAME.fullmatch(name):
            yield f"source name {name!r} is not allowed: lower-case letters, digits, _ and -, starting with a letter, up to 63"


Sources = Annotated[dict[str, Source], AfterValidator(_named)]

UNDECLARED = Source()
"""What holds for a source that the file does not name."""
