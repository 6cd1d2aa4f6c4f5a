"""The stock clients, unchanged, told another host: what each sent is in the log, field by field, and the profile says what it means."""

import pytest

from tests.clients.senders import BROWSER, NODE, PYTHON, STORIES, telling
from tests.clients.stories import check_story
from tests.serving.collector.running import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
CLIENTS = [*PYTHON, *(pytest.param(name, marks=pytest.mark.node) for name in NODE), *(pytest.param(name, marks=pytest.mark.browser) for name in BROWSER)]


@pytest.mark.parametrize("client", CLIENTS)
def test_what_a_client_sends_is_in_the_log_and_in_the_profile(client, system, messages_of):
    user, story = f"u-{client}", STORIES[client](f"u-{client}")
    with telling(client, system.ready["collector"], system.ready["write_key"], user):
        eventually(lambda: len(messages_of(user)) >= len(story), 120)

    found = messages_of(user)
    check_story(found, story)
    orders = [message for message in found if (message.get("event") or "").lower().replace(" ", "_") == "order_completed"]
    assert system.trait(user, "orders") == len(orders) == (2 if "snowplow" in client else 1)
    assert float(system.trait(user, "spend")) == 12.5 * len(orders)
    if client not in BROWSER:  # where the client takes no time from its caller
        assert {message["timestamp"][:23] for message in orders} == {"2026-03-01T10:00:00.123"}
    if "snowplow" not in client:  # whose protocol has neither traits nor aliases
        assert system.trait(user, "plan") == "pro"
        assert system.trait(f"{user}-old", "orders") == 1
