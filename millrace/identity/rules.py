"""The rules of identity as a tenant declares them (identity.yml), and the form resolution.py takes: blocked values as nodes under the tenant's key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from millrace.identity.linkage_rules import LinkageRules
from millrace.identity.nodes import NAMESPACES, node_of, normalise
from millrace.identity.simple_values import LONGEST, simple_nodes
from millrace.identity.spellings import NORMALISER
from millrace.yaml_files import did_you_mean

_NOBODY = (
    "null", "undefined", "none", "nil", "nan", "n/a", "unknown", "anonymous", "guest", "[object Object]", "0", "-1",
    "00000000-0000-0000-0000-000000000000", "00000000000000000000000000000000",
)  # fmt: skip
_NO_EMAIL = ("null", "undefined", "none", "n/a", "unknown", "test@test.com", "test@example.com", "noemail@noemail.com", "no@email.com", "none@none.com", "a@a.com")
ALIASES, CROWDED_FROM, ANY_NUMBER = 10, 1_000, 1 << 62
_NO_PHONE = ("0", "0000000000", "1111111111", "1234567890", "9999999999", "+11111111111")


class NamespaceRules(BaseModel):
    """``unique``: a person has at most one value; ``limit``: at most so many. ``aliases``: most values of a unique namespace that alias calls make one
    (1: none; None: any number). ``shared_from``: a value linked to so many values of a unique namespace belongs to nobody (None: never). ``blocked``:
    values that are nobody's, in any of the spellings lower, UPPER and Title. ``simple_from``: so are those of so many characters or more that are all the
    same or follow each other (None: they are not). ``crowded_from``: so is one that was seen with so many distinct others (None: never)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unique: bool = False
    limit: int | None = Field(None, ge=1)
    aliases: int | None = Field(ALIASES, ge=1)
    shared_from: int | None = Field(2, ge=2)
    simple_from: int | None = Field(None, ge=2, le=LONGEST)
    crowded_from: int | None = Field(None, ge=2)
    blocked: Annotated[tuple[str, ...], AfterValidator(lambda values: tuple(sorted(set(values))))] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "NamespaceRules":
        problems = [f"blocked value {value!r} is empty; drop it, an empty identifier is absent anyway" for value in self.blocked if not value.strip()]
        if self.unique and self.limit is not None:
            problems.append("unique means limit 1; drop one of the two")
        if self.aliases != ALIASES and not self.unique:
            problems.append("aliases are of a unique namespace; write `unique: true` or drop aliases")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def cap(self) -> int | None:
        """Most values a person may have."""
        return 1 if self.unique else self.limit


def _today() -> dict[str, NamespaceRules]:
    blocked = {"user_id": _NOBODY, "email": _NO_EMAIL, "phone": _NO_PHONE, "anonymous_id": _NOBODY}
    return {name: NamespaceRules(unique=name == "user_id", crowded_from=CROWDED_FROM, blocked=blocked[name]) for name in NAMESPACES}


@dataclass(frozen=True)
class Rules:
    """The rules by namespace, in priority order (``ANY_NUMBER`` of aliases: no limit). ``blocked`` are nodes."""

    namespaces: tuple[str, ...]
    caps: tuple[int | None, ...]
    unique: tuple[bool, ...]
    aliases: tuple[int, ...]
    shared_from: tuple[int | None, ...]
    crowded_from: tuple[int | None, ...]
    blocked: frozenset[str]


class IdentityRules(BaseModel):
    """What identity.yml holds: every namespace, the one to be trusted most first, and what links persons who share no identifier."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespaces: dict[str, NamespaceRules] = Field(default_factory=_today)
    linkage: LinkageRules = Field(default_factory=LinkageRules)
    normaliser: int = NORMALISER
    """Under which rules of spelling values became nodes. Not of the file: Millrace writes it into the definitions of a manifest."""

    @model_validator(mode="after")
    def _known(self) -> "IdentityRules":
        if problems := list(self._problems()):
            raise ValueError("; ".join(problems))
        return self

    def _problems(self) -> Iterator[str]:
        found = list(self.namespaces)
        for name in found:
            if name not in NAMESPACES:
                yield f"unknown namespace {name!r}{did_you_mean(name, NAMESPACES)}; there are {', '.join(NAMESPACES)}"
        if missing := [name for name in NAMESPACES if name not in found]:
            yield f"rules for {', '.join(missing)} are missing; {{}} sets none"
        known = [name for name in found if name in NAMESPACES]
        if not missing and known != list(NAMESPACES):
            yield f"the order {', '.join(known)} is not the one in which identifiers own events; write {', '.join(NAMESPACES)}"
        for name in known:
            for value in self.namespaces[name].blocked:
                if value.strip() and not normalise(name, value):
                    yield f"blocked {name} {value!r} is absent after normalising; drop it"

    def compiled(self, secret: bytes) -> Rules:
        """The rules under the tenant's key."""
        rules = tuple(self.namespaces[name] for name in NAMESPACES)
        simple = (simple_nodes(name, one.simple_from, secret) for name, one in zip(NAMESPACES, rules, strict=True) if one.simple_from)
        blocked = {node_of(name, spelt, secret) for name, one in zip(NAMESPACES, rules, strict=True) for value in one.blocked for spelt in _spellings(value)}
        return Rules(
            namespaces=NAMESPACES, caps=tuple(one.cap for one in rules), unique=tuple(one.unique for one in rules),
            aliases=tuple(one.aliases or ANY_NUMBER for one in rules), shared_from=tuple(one.shared_from for one in rules),
            crowded_from=tuple(one.crowded_from for one in rules), blocked=frozenset(node for node in blocked if node).union(*simple),
        )  # fmt: skip


def _spellings(value: str) -> set[str]:
    return {value, value.lower(), value.upper(), value.title()}
