"""What operators ask: is it alive, may it get traffic, what has it counted."""

from starlette.testclient import TestClient

from serving.collector.app import build_app

PERSONAL = {"userId": "anna-secret", "event": "Secret Event", "context": {"ip": "192.0.2.1"}}


def test_collector_is_ready_only_while_the_broker_answers(client, producer):
    assert client.get("/readyz").json()["ready"] is True

    producer.broker_answers = False

    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_metrics_count_events_and_refusals(client, post):
    post("track", PERSONAL)
    post("batch", {"batch": [{**PERSONAL, "type": "track"}] * 3})
    post("track", b"{")
    text = client.get("/metrics").text

    assert "collector_events_total 4.0" in text
    assert 'collector_requests_total{call="batch",outcome="acknowledged"} 1.0' in text
    assert 'collector_requests_total{call="track",outcome="malformed_json"} 1.0' in text


def test_metrics_hold_nothing_a_client_sent(client, post):
    post("track", PERSONAL)
    post("track", {**PERSONAL, "userId": 5, "type": "anna-secret"})
    client.post("/v1/anna-secret")

    assert "ecret" not in client.get("/metrics").text


def test_producer_lives_as_long_as_the_application(producer, keys):
    with TestClient(build_app(producer, keys)):
        assert not producer.closed

    assert producer.closed
