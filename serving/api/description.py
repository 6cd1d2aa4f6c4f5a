"""What ``/docs`` and ``/openapi.json`` say of answers beside what FastAPI finds out by itself. app.py gives it to the application."""

from typing import Any

import msgspec
from fastapi import FastAPI
from pydantic import BaseModel

from serving.store.answers import Found, Missing, Profile
from serving.store.keyed import Row

DESCRIPTION = (
    "Every answer is the batch result at a known point of the log plus exactly the epochs after it, and carries a receipt from which it can be computed again."
)
_PLACE = "#/components/schemas/{name}"


class Problem(BaseModel):
    """Every answer other than 2xx."""

    error: str
    """A code for programs."""
    message: str
    """What was found, what is allowed, what to do."""


def answers(status: str, description: str) -> dict[str, Any]:
    return {status: {"model": Problem, "description": description}}


REFUSALS: dict[int | str, Any] = {
    **answers("4XX", "400 a wrong question, 401 no key or a wrong one, 404 nothing here that this key may see, 410 no longer kept, 413 too large a body"),
    **answers("503", "nothing can be answered yet; `/readyz` says when"),
}
"""Of every route."""


def one(name: str) -> dict[int | str, Any]:
    """The answer 200 of a route that gives one of these structs."""
    return {200: {"content": {"application/json": {"schema": {"$ref": _PLACE.format(name=name)}}}}}


def several(*names: str) -> dict[int | str, Any]:
    """The answer 200 of a lookup: its entries are of these structs."""
    entries = {"type": "array", "items": {"anyOf": [{"$ref": _PLACE.format(name=name)} for name in names]}}
    return {200: {"content": {"application/json": {"schema": {"type": "object", "required": ["profiles"], "properties": {"profiles": entries}}}}}}


def page_of(name: str) -> dict[int | str, Any]:
    """The answer 200 of a route that gives one of these structs, or a page of them."""
    ref = {"$ref": _PLACE.format(name=name)}
    page = {"type": "object", "required": ["view", "rows", "next"], "properties": {"view": {"type": "string"}, "rows": {"type": "array", "items": ref}, "next": {"type": ["string", "null"]}}}
    return {200: {"content": {"application/json": {"schema": {"anyOf": [ref, page]}}}}}


def describe_structs(app: FastAPI) -> None:
    """Adds the structs that answers are made of: FastAPI knows pydantic's models only."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _, structs = msgspec.json.schema_components([Profile, Found, Missing, Row], ref_template=_PLACE)
            generate()["components"]["schemas"].update(structs)
        return generate()

    app.openapi = openapi  # type: ignore[method-assign]
