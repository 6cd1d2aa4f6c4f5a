"""What the API answers instead of what was asked. No sentence repeats a value of the request; unknown and forbidden look exactly the same."""

from fastapi import Response

from millrace.errors import MillraceError
from serving.store.answers import encode_json

JSON = "application/json"


class ApiError(MillraceError):
    """An answer other than 2xx: its status, a code for programs and a sentence for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status, self.code = status, code
        super().__init__(message)


NOT_FOUND = encode_json({"error": "not_found", "message": "there is nothing here that this key may see; check the path, the key, and the identifier: namespace:value with user_id, email, phone or anonymous_id, as in user_id:1"})
"""The one 404: nobody learns from it whether something exists."""


def not_found() -> Response:
    return Response(NOT_FOUND, 404, media_type=JSON)


def refused(error: ApiError) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return Response(encode_json({"error": error.code, "message": str(error)}), error.status, headers, JSON)


def json_answer(body: object, status: int = 200) -> Response:
    return Response(encode_json(body), status, media_type=JSON)
