"""What stock clients ask their vendor before they send, answered by the collector: settings, source configuration, feature flags. app.py serves it.

Nothing is configured by it: the answers say where to send to (here) and that nothing else is switched on. Each needs the write key.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.collector.access import WriteAccess

_COMPRESSION = ["gzip", "gzip-js", "base64"]


def _where(request: Request) -> tuple[str, str]:
    """Scheme and host by which the client reached the collector."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme)
    return ("https" if scheme == "https" else "http"), request.headers.get("host", "")


def client_routes(access: WriteAccess) -> list[Route]:
    """Their routes. A key that nobody has is refused as everywhere."""

    async def segment(request: Request) -> Response:
        key = request.path_params["key"]
        access.source_of_body(key)
        scheme, host = _where(request)
        destination = {"apiKey": key, "apiHost": f"{host}/v1", "protocol": scheme, "versionSettings": {"componentTypes": []}}
        return JSONResponse({"integrations": {"Segment.io": destination}, "metrics": {"sampleRate": 0}, "plan": {"track": {}}, "edgeFunction": {}})

    async def rudderstack(request: Request) -> Response:
        authorization = request.headers.get("authorization")
        key = request.query_params.get("writeKey")
        source = access.source_of_header(authorization.encode("latin-1")) if authorization else access.source_of_body(key)
        config = {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}}
        found = {"id": source, "name": source, "writeKey": key, "enabled": True, "workspaceId": "millrace", "config": config, "connections": [], "destinations": []}
        return JSONResponse({"source": {**found, "dataplanes": {}}, "updatedAt": "2026-01-01T00:00:00.000Z"})

    async def posthog_config(request: Request) -> Response:
        key = request.path_params["key"]
        access.source_of_body(key)
        switches = dict.fromkeys(
            ("autocaptureExceptions", "captureDeadClicks", "capturePerformance", "hasFeatureFlags", "heatmaps", "sessionRecording", "surveys"), False
        )
        return JSONResponse({"token": key, "supportedCompression": _COMPRESSION, "analytics": {"endpoint": "/i/v0/e/"}, "siteApps": [], "toolbarParams": {}, **switches})

    async def posthog_flags(_: Request) -> Response:
        """No flag is on: those who asked were told so, whoever they are, so no key is needed and the body is not read."""
        found = {"flags": {}, "featureFlags": {}, "featureFlagPayloads": {}, "errorsWhileComputingFlags": False, "sessionRecording": False, "surveys": False}
        return JSONResponse({**found, "supportedCompression": _COMPRESSION, "config": {"enable_collect_everything": True}, "siteApps": [], "isAuthenticated": False})

    asked = ["/flags", "/flags/", "/decide", "/decide/"]
    return [
        Route("/v1/projects/{key}/settings", segment), Route("/sourceConfig", rudderstack), Route("/sourceConfig/", rudderstack),
        Route("/array/{key}/config", posthog_config), *[Route(path, posthog_flags, methods=["POST"]) for path in asked],
    ]  # fmt: skip
