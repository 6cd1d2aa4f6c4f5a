"""HTTP APIs on a real server: each way of paging gives every row once, failures are asked for again, tokens go nowhere else and are never told."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

ROWS = [{"id": number, "city": f"city {number}", "price": 0.1, "changed": f"2026-01-0{number + 1}T00:00:00Z"} for number in range(7)]
SECRET = "t0ken-geheim"


class Api(ThreadingHTTPServer):
    """Serves ``rows`` three at a time. ``failures``: answers that come before the right ones; ``asked``: queries as they came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows: list[Any] = list(ROWS)
        self.failures: list[tuple[int, dict[str, str]]] = []
        self.asked: list[dict[str, str]] = []
        self.tokens: list[str | None] = []
        self.elsewhere = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        api, parts = self.server, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        api.asked.append(query)
        api.tokens.append(self.headers["Authorization"])
        if api.failures:
            self.answer(*api.failures.pop(0), b"no")
            return
        rows = [row for row in api.rows if not isinstance(row, dict) or row["changed"] >= query.get("since", "")]
        start = {"/pages": (int(query.get("page", 1)) - 1) * 3, "/offsets": int(query.get("offset", 0)), "/cursors": int(query.get("after", 0)), "/links": int(query.get("at", 0))}
        at = start[parts.path]
        has_more = at + 3 < len(rows)
        content: dict[str, Any] = {"data": {"items": rows[at : at + 3]}, "next": at + 3 if has_more and parts.path == "/cursors" else None}
        headers = {"Link": f'<{api.elsewhere}/links?at={at + 3}>; rel="next"'} if has_more and parts.path == "/links" else {}
        self.answer(200, headers, json.dumps(content).encode())

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    with Api() as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def declared(api: Api, path: str, paging: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"kind": "http", "url": f"{api.url}/{path}", "rows": "/data/items", "paging": paging, "token_env": "SHOP_TOKEN", "entity": "customers", "key": ["id"], "changed_at": "changed", **more}


@pytest.mark.parametrize(
    ("path", "paging"),
    [("pages", {"by": "page"}), ("pages", {"by": "page", "size": 3}), ("offsets", {"by": "offset"}), ("cursors", {"by": "cursor", "parameter": "after", "next": "/next"}), ("links", {"by": "link"})],
)
def test_every_way_of_paging_gives_every_row_once_and_exact(pulled, api, path, paging):
    pulled.declare(shop=declared(api, path, paging))
    assert (counts := pulled.pull())["taken"] == counts["received"] == 7
    assert [row["key"] for row in pulled.versions()] == [str(number) for number in range(7)]
    assert '"price":0.1}' in pulled.tables.read("entities/customers")["attributes"][0].as_py()
    assert set(api.tokens) == {f"Bearer {SECRET}"}
    assert pulled.pull()["unchanged"] == 7


def test_the_next_run_asks_for_what_is_new(pulled, api):
    pulled.declare(shop=declared(api, "pages", {"by": "page"}, since="since", since_from="changed"))
    pulled.pull()
    api.rows.append({"id": 8, "changed": "2026-02-01T00:00:00Z"})
    counts = pulled.pull()
    assert api.asked[-2]["since"] == "2026-01-07T00:00:00Z"
    assert (counts["received"], counts["taken"], counts["unchanged"]) == (2, 1, 1)


def test_answers_that_fail_for_a_while_are_asked_for_again(pulled, api):
    pulled.declare(shop=declared(api, "pages", {"by": "page"}))
    api.failures = [(503, {}), (429, {"Retry-After": "0"})]
    assert pulled.pull()["taken"] == 7


def test_a_run_that_fails_at_a_later_page_notes_nothing_and_the_next_takes_every_row_once(pulled, api, monkeypatch):
    pulled.declare(shop=declared(api, "cursors", {"by": "cursor", "parameter": "after", "next": "/next"}, snapshot=True))
    pulled.pull()
    api.rows = [*ROWS[:6], {"id": 9, "changed": "2026-01-09T00:00:00Z"}]
    answer, api_rows = Handler.answer, iter([200, 404])
    monkeypatch.setattr(Handler, "answer", lambda self, status, headers, body: answer(self, next(api_rows), headers, body))
    assert "answers with status 404" in pulled.pull()["error"]
    monkeypatch.undo()
    monkeypatch.setenv("SHOP_TOKEN", SECRET)
    assert all(not row["deleted"] for row in pulled.versions())
    assert (counts := pulled.pull())["deletes"] == 1 and counts["taken"] == 1


def test_a_link_to_another_host_does_not_get_the_token(pulled, api):
    pulled.declare(shop=declared(api, "links", {"by": "link"}))
    api.elsewhere = "http://other.example.com"
    counts = pulled.pull()
    assert "leads to another host (other.example.com)" in counts["error"]
    assert SECRET not in str(counts) + pulled.err


def test_what_is_no_row_is_rejected_and_what_is_no_array_is_told(pulled, api):
    pulled.declare(shop=declared(api, "pages", {"by": "page"}))
    api.rows = [ROWS[0], "lost", 5]
    assert pulled.pull()["reasons"] == {"malformed_row": 2}
    pulled.declare(shop=declared(api, "pages", {"by": "page"}, rows="/data"))
    assert "answers with no array at /data" in pulled.pull()["error"]
