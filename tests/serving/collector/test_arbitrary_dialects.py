"""Whatever is sent in any dialect, the collector answers 200 or says what is wrong; and what it takes, any JSON reader can read: taken or refused, nothing else."""

import base64
import gzip
import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from millrace.definitions import Definitions
from serving.collector.app import build_app
from serving.collector.dialects.routes import DIALECTS
from tests.tiers import DIALECT_EXAMPLES

MANY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None, max_examples=DIALECT_EXAMPLES)
PATHS = st.sampled_from(sorted(DIALECTS))
ONE_OF_EACH = st.sampled_from([*sorted({dialect.name: path for path, dialect in DIALECTS.items()}.values()), ("GET", "/i")])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8)
IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
IGLU = st.sampled_from(["iglu:com.acme/order/jsonschema/1-0-0", "iglu:com.acme/screen_view/jsonschema/1-0-0", "iglu:x", ""])
DESCRIBED = st.fixed_dictionaries({"schema": IGLU, "data": VALUES | st.dictionaries(IDS, VALUES, max_size=2)})
OUTER = st.fixed_dictionaries({"schema": IGLU, "data": DESCRIBED | st.lists(DESCRIBED, max_size=2) | VALUES})
EMBEDDED = st.builds(lambda value, packed: base64.urlsafe_b64encode(json.dumps(value).encode()).decode() if packed else json.dumps(value), OUTER, st.booleans())

SNOWPLOW = st.fixed_dictionaries(
    {"e": st.sampled_from(["pv", "pp", "se", "ue", "tr", "ti", "xx", ""])},
    optional={name: IDS | VALUES for name in ("uid", "duid", "eid", "dtm", "ttm", "stm", "se_ac", "se_va", "tr_tt", "res", "page", "url", "aid")}
    | {name: EMBEDDED | IDS for name in ("ue_pr", "ue_px", "co", "cx")},
)
POSTHOG = st.fixed_dictionaries(
    {"event": st.sampled_from(["x", "$identify", "$set", "$create_alias", "$groupidentify", "$pageview", "$screen", ""]) | VALUES},
    optional={name: IDS | VALUES for name in ("distinct_id", "uuid", "timestamp", "offset", "$set", "$set_once", "api_key", "token")}
    | {"properties": st.dictionaries(st.sampled_from(["distinct_id", "$device_id", "alias", "$group_key", "$set", "$group_set", "title", "$is_identified"]), IDS | VALUES) | VALUES},
)
CLOUDEVENT = st.fixed_dictionaries(
    {"specversion": st.just("1.0") | VALUES, "id": IDS | VALUES, "source": IDS, "type": IDS},
    optional={"userid": IDS | VALUES, "call": st.sampled_from(["identify", "group", "alias", "page", "x"]), "groupid": IDS, "previousid": IDS, "time": IDS, "data": VALUES, "data_base64": IDS},
)
HOOKED = st.fixed_dictionaries({}, optional={"who": IDS | VALUES, "what": IDS | VALUES, "when": VALUES, "total": VALUES | st.just("1.5"), "id": VALUES})
SEGMENT = st.fixed_dictionaries({}, optional={"userId": IDS | VALUES, "event": IDS, "type": st.just("track") | VALUES, "groupId": IDS, "previousId": IDS, "context": VALUES, "messageId": IDS})
NAMED = st.builds("n{}".format, IDS)
MORE = st.dictionaries(IDS, VALUES, max_size=3)
SOUND = {
    "snowplow": st.fixed_dictionaries({"e": st.sampled_from(["pv", "pp", "se", "tr"]), "uid": NAMED, "se_ac": NAMED}, optional={"eid": NAMED, "page": IDS, "tr_tt": IDS, "dtm": IDS}),
    "posthog": st.fixed_dictionaries({"event": NAMED.map("x".__add__), "distinct_id": NAMED, "properties": MORE}, optional={"uuid": NAMED, "$set": MORE, "offset": st.floats()}),
    "cloudevents": st.fixed_dictionaries({"specversion": st.just("1.0"), "id": NAMED, "source": NAMED, "type": NAMED, "userid": NAMED, "data": VALUES}),
    "webhook": st.fixed_dictionaries({"who": NAMED, "what": NAMED, "more": VALUES}, optional={"total": st.just("1.5"), "id": st.integers()}),
    "pixel": st.fixed_dictionaries({"userId": NAMED, "event": NAMED, "groupId": NAMED, "previousId": NAMED, "more": VALUES}),
}
ODD = {"snowplow": SNOWPLOW, "posthog": POSTHOG, "cloudevents": CLOUDEVENT, "webhook": HOOKED, "pixel": SEGMENT}
MAPPING = {"event": "/what", "user_id": "/who", "timestamp": {"at": "/when", "as": "milliseconds"}, "message_id": "/id", "properties": {"total": {"at": "/total", "as": "number"}}}
TYPES = ["", "application/json", "application/cloudevents+json", "application/cloudevents-batch+json", "application/x-www-form-urlencoded", "text/plain"]


@pytest.fixture(scope="module")
def any_client(request):
    """A source that knows all dialects."""
    from tests.serving.collector.conftest import KEYS, MemoryProducer

    producer = MemoryProducer()
    definitions = Definitions.model_validate({"views": {}, "sources": {"http": {"webhook": MAPPING}}})
    with TestClient(build_app(producer, KEYS, definitions=definitions), raise_server_exceptions=False) as client:
        client.auth = ("wk_test", "")
        yield client, producer


def check_answer(answer, producer, *, sent: int | None = None) -> None:
    if answer.status_code == 200:
        taken = [json.loads(record) for _, record in producer.records]
        assert all(message["type"] and message["messageId"] for message in taken)
        assert sent is None or len(taken) == sent
    else:
        assert 400 <= answer.status_code < 500, answer.text
        assert set(answer.json()) == {"error", "code", "field", "message"}
        assert producer.records == []


@MANY
@given(path=PATHS, body=st.binary(max_size=200), query=st.text(max_size=60), content_type=st.sampled_from(TYPES), packed=st.booleans(), objects=st.booleans())
def test_arbitrary_bytes_are_never_a_fault_of_the_server(path, body, query, content_type, packed, objects, any_client):
    client, producer = any_client
    producer.records.clear()
    headers = {"content-type": content_type} | ({"DNT": "1"} if objects else {}) | ({"ce-specversion": "1.0"} if packed else {})
    answer = client.request(path[0], f"{path[1]}?{quote(query, errors='ignore')}", content=gzip.compress(body) if packed else body, headers=headers)
    check_answer(answer, producer)


@MANY
@given(data=st.data(), path=ONE_OF_EACH, ascii_only=st.booleans())
def test_arbitrary_events_are_taken_readably_or_refused_with_a_field(data, path, ascii_only, any_client):
    client, producer = any_client
    producer.records.clear()
    dialect = DIALECTS[path].name
    events = data.draw(st.lists(SOUND[dialect], min_size=1, max_size=3) | st.lists(ODD[dialect] | SOUND[dialect], min_size=1, max_size=3))
    text = json.dumps(events, ensure_ascii=ascii_only).encode("utf-8", "replace")
    if path[0] == "GET":
        query = {"data": base64.b64encode(json.dumps(events[0]).encode())} if dialect == "pixel" else {name: str(value) for name, value in events[0].items()}
        answer, sent = client.get(f"{path[1]}?{urlencode(query, errors='replace')}"), 1
    elif dialect == "snowplow":
        answer, sent = client.post(path[1], content=b'{"data":' + text + b"}"), len(events)
    elif dialect == "webhook":
        answer, sent = client.post(path[1], content=json.dumps(events[0]).encode("utf-8", "replace")), 1
    else:
        answer, sent = client.post(path[1], content=text, headers={"content-type": "application/cloudevents-batch+json"}), len(events)
    event(f"{dialect} {answer.status_code}")
    check_answer(answer, producer, sent=sent)
