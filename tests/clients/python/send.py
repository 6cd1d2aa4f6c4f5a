"""Sends one story with a stock client of Python, unchanged: ``send.py CLIENT HOST KEY USER``. It runs in the environment of requirements.lock beside it: these
clients pin other versions of their libraries than Millrace. Prints one JSON line when the client says that all is sent."""

import json
import sys
import time
from datetime import UTC, datetime

AT = datetime(2026, 3, 1, 10, 0, 0, 123_000, tzinfo=UTC)
ORDER = {"order_id": "o-1", "revenue": 12.5, "products": [{"sku": "s-1"}]}
RETRIES = 20


def segment(host: str, key: str, user: str) -> None:
    from segment.analytics.client import Client

    tell_spec(Client(key, host=host, gzip=True, max_retries=RETRIES), user)


def rudderstack(host: str, key: str, user: str) -> None:
    from rudderstack.analytics.client import Client

    tell_spec(Client(key, host=host, max_retries=RETRIES), user)


def tell_spec(client, user: str) -> None:
    client.identify(user, {"plan": "pro", "email": f"{user}@shop.example"}, timestamp=AT)
    client.track(user, "Order Completed", ORDER, timestamp=AT)
    client.page(user, "shop", "Home", {"path": "/"}, timestamp=AT)
    client.screen(user, "shop", "Main", timestamp=AT)
    client.group(user, "g-1", {"name": "G"}, timestamp=AT)
    client.alias(f"{user}-old", user, timestamp=AT)
    client.flush()
    client.join()


def posthog(host: str, key: str, user: str) -> None:
    from posthog import Posthog

    client = Posthog(key, host=host, gzip=True, max_retries=RETRIES)
    client.capture("$pageview", distinct_id=user, properties={"$current_url": "https://shop.example/a"}, timestamp=AT)
    client.set(distinct_id=user, properties={"plan": "pro", "email": f"{user}@shop.example"}, timestamp=AT)
    client.capture("Order Completed", distinct_id=user, properties=ORDER, timestamp=AT)
    client.group_identify("company", "g-1", {"name": "G"}, distinct_id=user, timestamp=AT)
    client.alias(f"{user}-old", user, timestamp=AT)
    assert client.get_all_flags(user) == {}
    client.shutdown()


def snowplow(host: str, key: str, user: str) -> None:
    from snowplow_tracker import Emitter, PageView, SelfDescribing, SelfDescribingJson, StructuredEvent, Subject, Tracker

    for method in ("post", "get"):
        sent: list[object] = []
        emitter = Emitter(host, method=method, max_retry_delay_seconds=1, on_success=sent.extend)
        subject = Subject()
        subject.set_user_id(user)
        tracker = Tracker(method, emitter, subject=subject, app_id=key, encode_base64=method == "post")
        tracker.track(PageView("https://shop.example/a", "A", context=[SelfDescribingJson("iglu:com.acme/plan/jsonschema/1-0-0", {"plan": "pro"})]))
        order = SelfDescribingJson("iglu:com.acme/order_completed/jsonschema/1-0-0", ORDER)
        tracker.track(SelfDescribing(order, true_timestamp=AT.timestamp() * 1000))
        tracker.track(StructuredEvent("shop", "add", label="l", value=2.5))
        tracker.flush()
        while len(sent) < 3:  # whoever runs this ends it when it takes too long
            time.sleep(0.05)


if __name__ == "__main__":
    client, *where = sys.argv[1:]
    {"segment": segment, "rudderstack": rudderstack, "posthog": posthog, "snowplow": snowplow}[client](*where)
    print(json.dumps({"sent": client}))
