"""What the demo asks of the API: the state of the log, profiles, a publish. The story calls it; paths and shapes of the API live here only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from millrace.demo.client import JsonClient, RequestRefused
from millrace.errors import MillraceError

LOOKUP_PROFILES = 200
LOOKUP_ROWS = 1_000


@dataclass(frozen=True)
class Status:
    """The head of the log and its sums: ``received`` = ``accepted`` + ``rejected`` + ``duplicate``; ``manifest_id`` None before the first publish."""

    head: Any
    manifest_id: Any
    received: int
    accepted: int
    rejected: int
    duplicate: int


class Api:
    """Calls to one API by one thread; a household is a profile by its user id."""

    def __init__(self, address: str, *, read_key: str, admin_key: str) -> None:
        self._reader = JsonClient(address, f"Bearer {read_key}")
        self._admin = JsonClient(address, f"Bearer {admin_key}")

    def status(self) -> Status:
        answer = self._reader.get("/v1/status")
        counts = {name: answer["log"][name] for name in ("received", "accepted", "rejected", "duplicate")}
        return Status(answer["head"], answer["manifest_id"], **counts)

    def profile(self, household: str, *, as_of: datetime | None = None) -> dict[str, Any] | None:
        """The whole answer, None for a household nobody has heard of."""
        try:
            return self._reader.get(f"/v1/profiles/{quote(profile_name(household))}{_query(as_of)}")
        except RequestRefused as error:
            if error.status == 404:
                return None
            raise

    def lookup(self, households: Sequence[str], *, as_of: datetime) -> list[dict[str, Any]]:
        """One answer per household, in order."""
        answers: list[dict[str, Any]] = []
        for start in range(0, len(households), LOOKUP_PROFILES):
            names = [profile_name(household) for household in households[start : start + LOOKUP_PROFILES]]
            answers += self._reader.post(f"/v1/profiles:lookup{_query(as_of)}", {"profiles": names})["profiles"]
        return answers

    def rows(self, view: str, *, as_of: datetime) -> list[dict[str, Any]]:
        """All rows of a view that is not of persons, in order of their keys."""
        rows: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            page = self._reader.get(f"/v1/views/{view}?{urlencode({'as_of': time_text(as_of), 'after': after, 'limit': LOOKUP_ROWS})}")
            rows += page["rows"]
            after = page["next"]
        return rows

    def is_replayed(self, household: str, *, as_of: datetime) -> bool:
        """Whether the receipt of the answer about a household gives the same bytes when it is computed again from the tables."""
        answer = self._reader.get_bytes(f"/v1/profiles/{quote(profile_name(household))}{_query(as_of)}")
        return self._reader.get_bytes(f"/v1/receipts/{quote(json.loads(answer)['receipt']['id'])}:replay") == answer

    def publish(self, *, full: bool = False) -> dict[str, Any]:
        """Builds a batch, publishes it and waits until answers come from it; its manifest."""
        manifest = self._admin.post("/v1/batches", {"full": full})
        if not manifest.get("is_served"):
            raise MillraceError(
                f"the batch was published but is not served ({manifest.get('status')}, manifest {manifest.get('manifest_id')}); GET /readyz of the API says why"
            )
        return manifest

    def close(self) -> None:
        self._reader.close()
        self._admin.close()


def profile_name(household: str) -> str:
    return f"user_id:{household}"


def time_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _query(as_of: datetime | None) -> str:
    return f"?{urlencode({'as_of': time_text(as_of)})}" if as_of else ""
