"""Keys of a tenant: made at the first start, kept under the root with mode 600. Collector, speed layer and API read them."""

import base64
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from millrace.errors import ConfigurationError
from millrace.events.sources import HTTP
from millrace.lease import make_folder


@dataclass(frozen=True)
class TenantKeys:
    """``write_key`` sends events, ``read_key`` reads profiles, ``admin_key`` builds and rolls back; ``token_key`` (hex) keys identifier tokens."""

    write_key: str
    read_key: str
    admin_key: str
    token_key: str

    @property
    def token_secret(self) -> bytes:
        return bytes.fromhex(self.token_key)

    def write_keys(self, sources: Iterable[str]) -> dict[str, str]:
        """Write key of each source, by its name. That of ``http`` is the tenant's own; the others follow from it, so that nothing has to be kept for them."""
        return {HTTP: self.write_key} | {name: self._derived(name) for name in sources if name != HTTP}

    def _derived(self, source: str) -> str:
        digest = hmac.digest(self.write_key.encode(), f"write key of {source}".encode(), "sha256")
        return f"wk_{source}_{base64.urlsafe_b64encode(digest[:18]).decode()}"


def keys_path(root: str | Path, tenant: str) -> Path:
    return Path(root) / tenant / "keys.json"


def read_keys(root: str | Path, tenant: str) -> TenantKeys:
    """Keys of an existing tenant; ConfigurationError when there are none or the file is not readable as keys."""
    path = keys_path(root, tenant)
    try:
        return TenantKeys(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ConfigurationError(f"no keys at {path}; start `python -m jobs.run_local --root {root} --tenant {tenant}` once, it makes them") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); give this user the right to read it") from None
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{path} does not hold the four keys of a tenant ({error}); restore it from a backup: a new token key would orphan all profiles"
        ) from None


def load_or_create_keys(root: str | Path, tenant: str) -> TenantKeys:
    """Keys of the tenant, made by the first caller; concurrent first callers agree, because the file appears by one atomic link."""
    path = keys_path(root, tenant)
    if not path.exists():
        make_folder(path.parent)
        keys = TenantKeys(*(f"{kind}_{secrets.token_urlsafe(18)}" for kind in ("wk", "rk", "ak")), token_key=secrets.token_hex(32))
        draft = path.with_name(f".keys.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(keys), file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return read_keys(root, tenant)
