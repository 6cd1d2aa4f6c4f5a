"""Files that a tenant supplies to the rules, such as rates: named in enrichment.yml, known by their digest. Whoever computes with one reads exactly that content."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from millrace.errors import ConfigurationError


class TenantFile(BaseModel):
    """A file as it was when the definitions were loaded. ``sha256``: of its content, in hex digits. Where it lies is no part of the rules, what it holds is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    sha256: str

    def content(self) -> bytes:
        """What it holds; ConfigurationError when it is not there or holds something else by now."""
        try:
            found = Path(self.path).read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be read here ({error.strerror}) and enriched values are computed with it; put it at this path on every machine that runs the stream or a build"
            ) from None
        if (digest := hashlib.sha256(found).hexdigest()) != self.sha256:
            raise ConfigurationError(
                f"{self.path} holds {digest[:12]} and the definitions were loaded when it held {self.sha256[:12]}; the next epoch or build that loads the definitions "
                "again takes the new content, or put the old file back"
            )
        return found


def _as_file(found: Any, info: ValidationInfo) -> Any:
    """A name as written in the directory of the definitions becomes the file with its digest."""
    if not isinstance(found, str):
        return found
    directory = (info.context or {}).get("directory")
    if directory is None:
        raise ValueError(f"found the file name {found!r}; files are named in the enrichment.yml of a definitions directory")
    path = (Path(directory) / found).resolve()
    try:
        return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    except OSError as error:
        raise ValueError(f"the file {path} cannot be read ({error.strerror}); name one beside enrichment.yml, or by its whole path") from None


NamedFile = Annotated[TenantFile, BeforeValidator(_as_file)]
