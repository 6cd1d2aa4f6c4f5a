"""Who may ask: ``Authorization: Bearer`` with the tenant's read key, or the admin key for everything. Keys are compared in constant time."""

import hmac

from fastapi import Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from millrace.keys import TenantKeys
from serving.api.refusals import ApiError

_bearer = HTTPBearer(auto_error=False, description="the read key of the tenant; the admin key for batches")
_FORBIDDEN = 404


class Access:
    """Dependencies of the routes, coroutines because anything else is run in a thread, which costs more than the answer. A wrong key or none is 401; a read key on
    what needs the admin key is the same 404 as an unknown path."""

    def __init__(self, keys: TenantKeys) -> None:
        self._read, self._admin = keys.read_key.encode(), keys.admin_key.encode()

    async def reads(self, credentials: HTTPAuthorizationCredentials | None = Depends(_bearer)) -> None:
        self._role(credentials)

    async def administers(self, credentials: HTTPAuthorizationCredentials | None = Depends(_bearer)) -> None:
        if not self._role(credentials):
            raise HTTPException(_FORBIDDEN)

    def _role(self, credentials: HTTPAuthorizationCredentials | None) -> bool:
        """Whether the key is the admin key; ApiError when it is neither."""
        given = credentials.credentials.encode() if credentials else b""
        may_read, is_admin = hmac.compare_digest(given, self._read), hmac.compare_digest(given, self._admin)
        if not (may_read or is_admin):
            raise ApiError(401, "unknown_key", "send `Authorization: Bearer <read key>` (or the admin key); jobs.run_local prints both, keys.json holds them")
        return is_admin
