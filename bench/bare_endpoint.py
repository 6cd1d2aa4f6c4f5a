"""The baseline of bench/collector.py: Starlette and msgspec on uvicorn, decodes and checks a batch, answers 200, stores nothing."""

import json
import socket

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class Event(msgspec.Struct, rename="camel"):
    type: str
    message_id: str
    user_id: str | None = None
    anonymous_id: str | None = None
    event: str | None = None
    properties: dict | None = None
    context: dict | None = None
    timestamp: str | None = None


class Batch(msgspec.Struct):
    batch: list[Event]


decode_batch, decode_event = msgspec.json.Decoder(Batch).decode, msgspec.json.Decoder(Event).decode


async def take_batch(request: Request) -> JSONResponse:
    decode_batch(await request.body())
    return JSONResponse({"success": True})


async def take_event(request: Request) -> JSONResponse:
    decode_event(await request.body())
    return JSONResponse({"success": True})


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    print(json.dumps({"ready": True, "collector": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
    app = Starlette(routes=[Route("/v1/batch", take_batch, methods=["POST"]), Route("/v1/track", take_event, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, loop="uvloop", http="httptools", log_config=None, access_log=False)).run(sockets=[listener])
