"""What a tenant declares about the probabilistic stage (section ``linkage`` of identity.yml): which trait is which attribute of a person, and thresholds."""

import re
from collections.abc import Iterator
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from millrace.yaml_files import did_you_mean

Kind = Literal["given_name", "surname", "birth_date", "postcode", "house_number", "street", "town", "phone", "email", "national_id", "other"]
KINDS: tuple[str, ...] = get_args(Kind)
"""Kinds of attributes; how each is compared: batch/linkage/comparisons.py."""
_PATH = re.compile(r"traits(\.[A-Za-z][A-Za-z0-9_]*)+")


class LinkageRules(BaseModel):
    """``attributes``: value path of identify calls → kind. Persons who are one with a probability of ``accept`` or more may be joined; people look at those
    between ``review`` and ``accept``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = False
    attributes: dict[str, str] = Field(default_factory=dict)
    accept: float = Field(0.8, gt=0.5, lt=1)
    review: float = Field(0.5, gt=0, lt=1)

    @model_validator(mode="after")
    def _consistent(self) -> "LinkageRules":
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        for path, kind in self.attributes.items():
            if not _PATH.fullmatch(path):
                yield f"attribute {path!r} is no path of a trait; write traits.name, letters, digits and _"
            if kind not in KINDS:
                yield f"attribute {path}: unknown kind {kind!r}{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}"
        names = self.columns.values()
        if len(set(names)) < len(names):
            yield "two attributes differ only by the dots of their paths; rename one of the traits"
        if self.review > self.accept:
            yield f"review is {self.review} and accept {self.accept}; review is the smaller one"
        if self.enabled and len(self.attributes) < 2:
            yield "linkage is enabled with fewer than two attributes; one alone cannot tell persons apart"

    @property
    def columns(self) -> dict[str, str]:
        """Name of the column of each path."""
        return {path: path.removeprefix("traits.").replace(".", "_").lower() for path in self.attributes}

    @property
    def kinds(self) -> dict[str, str]:
        """Kind of each column, in the order of the columns: the order of lines in a file changes nothing."""
        columns = self.columns
        return {columns[path]: self.attributes[path] for path in sorted(self.attributes)}
