"""What two partners agree on before they encode: the attributes with their kinds, and a secret. Both must have the same, or nothing matches."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from millrace.errors import ConfigurationError
from millrace.identity.linkage_rules import KINDS
from millrace.yaml_files import did_you_mean, read_yaml

SHORTEST_SECRET = 32


class Agreement(BaseModel):
    """``attributes``: column → kind, in the same order on both sides. ``tokens``: lists of columns that together identify a person exactly, such as [email]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    attributes: dict[str, str] = Field(min_length=1, max_length=60)
    tokens: tuple[tuple[str, ...], ...] = ()

    @field_validator("attributes")
    @classmethod
    def _known(cls, attributes: dict[str, str]) -> dict[str, str]:
        for name, kind in attributes.items():
            if kind not in KINDS:
                raise ValueError(f"attribute {name}: unknown kind {kind!r}{did_you_mean(kind, KINDS)}; there are {', '.join(KINDS)}")
        return attributes

    @field_validator("tokens")
    @classmethod
    def _of_attributes(cls, tokens: tuple[tuple[str, ...], ...], info: Any) -> tuple[tuple[str, ...], ...]:
        have = info.data.get("attributes", {})
        for name in {name for names in tokens for name in names} - set(have):
            raise ValueError(f"token names the attribute {name!r}{did_you_mean(name, have)}, which is not declared")
        return tokens


def read_agreement(path: Path) -> Agreement:
    found = read_yaml(path, missing="both partners write the same file, such as `attributes: {surname: surname, born: birth_date}`")
    try:
        return Agreement.model_validate(found)
    except ValidationError as error:
        raise ConfigurationError([f"{path}: {'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()]) from None


def read_secret(path: Path) -> bytes:
    """The shared secret; the file is for this purpose and this partner alone."""
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); make a secret with `openssl rand -hex 32` and give it to the partner") from None
    if len(secret) < SHORTEST_SECRET:
        raise ConfigurationError(f"{path} holds {len(secret)} characters; a secret needs {SHORTEST_SECRET} at least, such as `openssl rand -hex 32` makes")
    return secret
