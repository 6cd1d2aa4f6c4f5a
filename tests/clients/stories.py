"""The story that every stock client tells about one person, and the messages that must come of it. The tests of the clients compare the log with it."""

from typing import Any

ORDER = {"order_id": "o-1", "revenue": 12.5, "products": [{"sku": "s-1"}]}
Sent = dict[str, Any]


def traits_of(user: str) -> dict[str, str]:
    return {"plan": "pro", "email": f"{user}@shop.example"}


def spec_story(user: str) -> list[Sent]:
    """What a client of the Segment spec says."""
    who = {"userId": user}
    return [
        {"type": "identify", **who, "traits": traits_of(user)},
        {"type": "track", **who, "event": "Order Completed", "properties": ORDER},
        {"type": "page", **who, "name": "Home", "properties": {"path": "/"}},
        {"type": "screen", **who, "name": "Main"},
        {"type": "group", **who, "groupId": "g-1", "traits": {"name": "G"}},
        {"type": "alias", **who, "previousId": f"{user}-old"},
    ]


def browser_story(user: str) -> list[Sent]:
    """What a page says: of somebody unknown first."""
    who = {"userId": user}
    order = {name: ORDER[name] for name in ("order_id", "revenue")}
    return [
        {"type": "page", "name": "Home"},
        {"type": "identify", **who, "traits": traits_of(user)},
        {"type": "track", **who, "event": "Order Completed", "properties": order},
        {"type": "group", **who, "groupId": "g-1", "traits": {"name": "G"}},
        {"type": "alias", **who, "previousId": f"{user}-old"},
    ]


def snowplow_story(user: str, *, times: int = 1) -> list[Sent]:
    """What a tracker says, once a method."""
    who = {"userId": user}
    return times * [
        {"type": "page", **who, "name": "A", "properties": {"url": "https://shop.example/a", "title": "A"}, "context": {"contexts_com_acme_plan_1": [{"plan": "pro"}]}},
        {"type": "track", **who, "event": "order_completed", "properties": ORDER, "timestamp": "2026-03-01T10:00:00.123Z"},
        {"type": "track", **who, "event": "add", "properties": {"category": "shop", "action": "add", "label": "l", "value": 2.5}},
    ]


def posthog_story(user: str, *, in_browser: bool = False) -> list[Sent]:
    who = {"userId": user}
    order = {name: ORDER[name] for name in ("order_id", "revenue")} if in_browser else ORDER
    return [
        {"type": "page"},
        {"type": "identify", **who, "traits": traits_of(user)},
        {"type": "track", **who, "event": "Order Completed", "properties": order},
        {"type": "group", "groupId": "g-1", "traits": {"name": "G", "group_type": "company"}},
        {"type": "alias"},
    ]


def holds(message: Any, sent: Any) -> bool:
    """Whether a message says all that was sent; clients add what they know besides."""
    if isinstance(sent, dict):
        return isinstance(message, dict) and all(holds(message.get(name), value) for name, value in sent.items())
    return message == sent


def check_story(messages: list[dict[str, Any]], story: list[Sent]) -> None:
    """Each message of the story is there exactly once, field by field, and nothing else of the same type and event."""
    for sent in story:
        found = [message for message in messages if holds(message, sent)]
        assert len(found) == story.count(sent), f"{len(found)} messages hold {sent}:\n{messages}"
    ids = [message["messageId"] for message in messages]
    assert len(set(ids)) == len(ids), ids
