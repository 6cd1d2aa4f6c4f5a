"""A system of one process and no disk that keeps Millrace's promises in plain Python: what the story is told to in plain tests.

Takes batches, answers profiles from the messages it took; the traits that only the grocery tenant has by the oracle of the laws. `--lie TRAIT` adds one to that number of household 1, `--lie VIEW` keeps a row of another view back, `--forget` counts a coupon more once
there is a batch, `--misremember` replays receipts wrongly.
"""

import argparse
import gzip
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
VIEWS = yaml.safe_load((REPOSITORY / "conf" / "tenants" / "grocery" / "views.yml").read_text(encoding="utf-8"))
GROCERY = VIEWS["person"]
MESSAGES: dict[str, dict[str, Any]] = {}
COUNTS = {"received": 0, "accepted": 0, "rejected": 0, "duplicate": 0}
PUBLISHED: list[int] = []
LOCK = Lock()
OPTIONS = argparse.Namespace()


def take(messages: list[dict[str, Any]]) -> None:
    with LOCK:
        for message in messages:
            COUNTS["received"] += 1
            COUNTS["duplicate" if message["messageId"] in MESSAGES else "accepted"] += 1
            MESSAGES.setdefault(message["messageId"], message)


def profile(name: str, as_of: datetime) -> dict[str, Any] | None:
    household = name.removeprefix("user_id:")
    with LOCK:
        mine = sorted((message for message in MESSAGES.values() if message["userId"] == household), key=lambda message: message["timestamp"])
    if not mine:
        return None
    values = traits(mine, as_of)
    values |= more_traits(mine, as_of, values)
    if OPTIONS.lie in values and household == "1":
        values[OPTIONS.lie] = str(Decimal(values[OPTIONS.lie]) + 1)
    if OPTIONS.forget and PUBLISHED and household == "1":
        values["coupons_used"] += 1
    shown = {name: {"value": value, "layer": "batch" if PUBLISHED else "speed"} for name, value in values.items()}
    return {
        "id": f"p_{household}",
        "traits": shown,
        "receipt": {"id": f"{household}_{as_of.isoformat()}", "manifest_id": len(PUBLISHED) or None, "complete": True},
    }


def traits(mine: list[dict[str, Any]], as_of: datetime) -> dict[str, Any]:
    orders = [message for message in mine if message.get("event") == "Order Completed"]
    revenues = [Decimal(order["properties"]["revenue"]) for order in orders]
    stores = [order["properties"]["store_id"] for order in orders]
    day = as_of.replace(hour=0, minute=0, second=0)
    days = {length: [order for order in orders if day - timedelta(days=length) <= time(order) < day + timedelta(days=1)] for length in (30, 90)}
    hour = as_of.replace(minute=0, second=0)
    said = next((message["traits"] for message in mine if message["type"] == "identify"), {})
    return {
        "orders_count": len(orders),
        "revenue_total": money(revenues),
        "spend_30d": money([Decimal(order["properties"]["revenue"]) for order in days[30]]),
        "spend_90d": money([Decimal(order["properties"]["revenue"]) for order in days[90]]),
        "orders_30d": len(days[30]),
        "average_basket": str((sum(revenues) / len(revenues)).quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)) if revenues else None,
        "largest_basket": money([max(revenues)]) if revenues else None,
        "smallest_basket": money([min(revenues)]) if revenues else None,
        "first_order_at": orders[0]["timestamp"] if orders else None,
        "last_order_at": orders[-1]["timestamp"] if orders else None,
        "last_store": stores[-1] if stores else None,
        "stores": len(set(stores)),
        "coupons_used": sum(message.get("event") == "Coupon Applied" for message in mine),
        "products_90d": 0,
        "events_24h": sum(hour - timedelta(hours=24) <= time(message) < hour + timedelta(hours=1) for message in mine),
        "last_seen_at": mine[-1]["timestamp"],
        **{name: said.get(name) for name in ("age", "income", "home_ownership", "household_size")},
    }


def more_traits(mine: list[dict[str, Any]], as_of: datetime, values: dict[str, Any]) -> dict[str, Any]:
    from tests.laws.oracle import value_of

    at, events = judged(mine, as_of)
    declared = {name: {"time_zone": GROCERY["time_zone"], **trait} for name, trait in GROCERY["traits"].items() if "op" in trait and name not in values}
    found = {name: value_of(trait, events, at) for name, trait in declared.items()}
    spend, orders = Decimal(values["spend_30d"]), values["orders_30d"]
    ratio = str((spend / orders).quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)) if orders else None
    return found | {"basket_30d": ratio, "spend_change": str(spend - Decimal(found["spend_prev_30d"])), "is_regular": orders >= 4 and found["bought_7d"]}


def judged(messages: list[dict[str, Any]], as_of: datetime) -> tuple[int, list[Any]]:
    """The time in microseconds, and the events as the oracle of the laws sees them."""
    from tests.laws.oracle import Record, judge

    at = round(as_of.timestamp() * 1_000_000)
    return at, [judge(Record(json.dumps(message).encode(), 0, n, at, "http"), b"secret") for n, message in enumerate(messages)]


def rows(view: str, as_of: datetime) -> dict[str, Any]:
    """All rows of a view that is not of persons, on one page."""
    from tests.laws.oracle import rows_of

    declared = VIEWS[view]
    key = declared["key"] if isinstance(declared["key"], dict) else {declared["key"].rpartition(".")[2]: declared["key"]}
    zone = declared.get("time_zone", "UTC")
    with LOCK:
        at, events = judged(list(MESSAGES.values()), as_of)
    found = rows_of(events, key, {name: {"time_zone": zone, **trait} for name, trait in declared["traits"].items()}, at, zone)
    shown = [{"view": view, "key": dict(zip(key, parts, strict=True)), "traits": {name: {"value": value, "layer": "speed"} for name, value in traits.items()}} for parts, traits in found.items()]
    if OPTIONS.lie == view:
        shown = shown[1:]
    return {"view": view, "rows": shown, "next": None}


def time(message: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(message["timestamp"])


def money(amounts: list[Decimal]) -> str:
    return str(sum(amounts))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        url = urlsplit(self.path)
        if url.path == "/v1/batch":
            take(json.loads(gzip.decompress(body))["batch"])
            self.answer({"success": True})
        elif url.path == "/v1/batches":
            PUBLISHED.append(COUNTS["accepted"])
            self.answer({"status": "ok", "manifest_id": len(PUBLISHED), "is_served": True})
        else:
            names = json.loads(body)["profiles"]
            self.answer({"profiles": [profile(name, as_of(url.query)) or {"found": False} for name in names]})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/v1/status":
            self.answer({"head": 1, "manifest_id": len(PUBLISHED) or None, "log": COUNTS})
        elif url.path.startswith("/v1/receipts/"):
            household, at = unquote(url.path).removeprefix("/v1/receipts/").removesuffix(":replay").split("_")
            self.answer({**(profile(household, datetime.fromisoformat(at)) or {}), **({"id": "another"} if OPTIONS.misremember else {})})
        elif url.path.startswith("/v1/views/"):
            self.answer(rows(url.path.rsplit("/", 1)[1], as_of(url.query)))
        else:
            found = profile(unquote(url.path.rsplit("/", 1)[1]), as_of(url.query))
            self.answer(found or {"error": "not found"}, status=200 if found else 404)

    def answer(self, body: object, *, status: int = 200) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


def as_of(query: str) -> datetime:
    text = parse_qs(query).get("as_of")
    return datetime.fromisoformat(text[0]) if text else datetime.now(UTC)


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    parser = argparse.ArgumentParser()
    parser.add_argument("--lie")
    parser.add_argument("--forget", action="store_true")
    parser.add_argument("--misremember", action="store_true")
    parser.parse_known_args(namespace=OPTIONS)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"127.0.0.1:{server.server_address[1]}"
    keys = {"write_key": "wk", "read_key": "rk", "admin_key": "ak"}
    print(json.dumps({"ready": True, "collector": address, "api": address, "kafka": "-", **keys}), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()
