"""Identifiers of old rows as today's normaliser spells them: in one table, and through stream, build and store when Millrace changes under a tenant."""

import unicodedata
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from batch.build import build
from batch.respelling import AS_WRITTEN, Respelling
from millrace.definitions import Definitions
from millrace.identity.nodes import node_of
from millrace.identity.spellings import FIRST_NORMALISER, NORMALISER
from millrace.settings import BatchSettings
from millrace.tables.catalogue import LOG_EVENTS
from tests.laws.histories import SECRET
from tests.tenant import ORDERS, Tenant, order

ANN = "änn@exämple.com"


def logged(epoch: int, payload: str, nodes: list[str]) -> dict[str, object]:
    return {"received_at": datetime(2025, 1, 1, tzinfo=UTC), "source": "s", "epoch": epoch, "partition": 0, "offset": epoch, "payload": payload, "node": nodes[0], "identifiers": [{"node": node, "hint": "•"} for node in nodes]}


def test_only_old_rows_beyond_ascii_are_spelt_anew_and_none_loses_its_owner() -> None:
    spelt = '{"type":"identify","messageId":"m","userId":"U\\u200b1","traits":{"email":"A\u0308nn@example.com"}}'
    rows = [
        logged(1, spelt, ["user_id:old", "email:old"]), logged(1, '{"type":"track","messageId":"m","event":"e","userId":"u"}', ["user_id:plain"]),
        logged(1, '{"type":"track","messageId":"m","event":"e","userId":"\\u200b"}', ["user_id:invisible"]), logged(2, spelt, ["user_id:new", "email:new"]),
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=LOG_EVENTS)
    found = Respelling(1, SECRET).rows(table)
    user, mail = node_of("user_id", "U1", SECRET), node_of("email", "änn@example.com", SECRET)
    assert [[one["node"] for one in row] for row in found["identifiers"].to_pylist()] == [[user, mail], ["user_id:plain"], ["user_id:invisible"], ["user_id:new", "email:new"]]
    assert found["node"].to_pylist() == [user, "user_id:plain", "user_id:invisible", "user_id:new"]
    assert found.drop_columns(["identifiers", "node"]).equals(table.drop_columns(["identifiers", "node"]))
    assert AS_WRITTEN.rows(table).equals(table) and Respelling(9, SECRET).rows(table.slice(0, 0)).num_rows == 0
    assert np.array_equal(found["epoch"].to_numpy(), [1, 1, 1, 2])


def ruled(normaliser: int) -> Definitions:
    rules = {name: {"shared_from": None} for name in ("user_id", "email", "phone", "anonymous_id")}
    return Definitions.model_validate({"views": ORDERS, "identity": {"namespaces": rules, "normaliser": normaliser}})


def test_definitions_of_before_keep_their_hash_and_another_normaliser_is_another_one() -> None:
    old, new = ruled(FIRST_NORMALISER), ruled(NORMALISER)
    text = old.to_json().replace('"normaliser": 1', '"linkage": {}').replace(', "linkage": {}}', "}")
    assert old.hash != new.hash
    assert Definitions.from_json(text).identity.normaliser == FIRST_NORMALISER and Definitions.from_json(text).hash == old.hash
    assert Definitions.from_json(new.to_json()) == new


@pytest.mark.stack
@pytest.mark.spark
def test_a_change_of_the_normaliser_makes_history_anew_and_splits_nobody(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    nfc, nfd = (unicodedata.normalize(form, ANN) for form in ("NFC", "NFD"))
    with monkeypatch.context() as before:
        before.setattr("millrace.identity.nodes.spelt", lambda _, value: value)
        before.setattr("millrace.tables.ledger.NORMALISER", FIRST_NORMALISER)
        tenant.definitions = ruled(FIRST_NORMALISER)
        tenant.send(order("m1", user="u1", revenue=1, context={"traits": {"email": nfc}}), order("m2", user="u2", revenue=2, context={"traits": {"email": nfd}}))
        tenant.run()
        first = build(tenant.spark, tenant.tables, tenant.definitions)
    tenant.definitions = ruled(NORMALISER)
    tenant.send(order("m3", user="u3", revenue=4, context={"traits": {"email": ANN.upper()}}))
    tenant.run()
    second = build(tenant.spark, tenant.tables, tenant.definitions)
    third = build(tenant.spark, tenant.tables, tenant.definitions, full=True, settings=BatchSettings(in_driver_rows=1))

    def persons(manifest) -> list[set[str]]:
        rows = tenant.tables.read("batch/nodes", version=manifest.tables["batch/nodes"]).to_pylist()
        return sorted(({row["node"].partition(":")[0] for row in rows if row["person_id"] == person} for person in {row["person_id"] for row in rows}), key=len)

    assert len(persons(first)) == 2, "two spellings were two persons"
    assert second.kind == "full" and second.proof["respelt"] and second.proof["identity"]["cause"] == "edges and rules"
    one = tenant.tables.read("batch/nodes", version=second.tables["batch/nodes"])
    assert len(set(one["person_id"].to_pylist())) == 1 and len(one) == 4
    assert third.proof["engine"] == "SparkEngine" and not third.proof.get("respelt")
    for name, keys in (("batch/nodes", ["node"]), ("batch/edges", ["a", "b"])):
        rows = [tenant.tables.read(name, version=manifest.tables[name]).sort_by([(key, "ascending") for key in keys]) for manifest in (second, third)]
        assert rows[0].to_pylist() == rows[1].to_pylist()
