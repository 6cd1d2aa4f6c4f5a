"""What docs/sources.md shows is run: its declarations over its files give what the text says, and its connector is one."""

import re
import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import yaml

from batch.sources.messages import EventTarget
from batch.sources.pulling import connector_of
from batch.sources.shaping import Shaper
from millrace.definitions import load_definitions
from millrace.events.pulls import AnyPull

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "sources.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)]
DECLARED = {name: source for block in BLOCKS if "person" not in block for name, source in block.items()}
(VIEWS,) = [block for block in BLOCKS if "person" in block]


def block(language: str) -> str:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[0]


def messages(source: str, pull: AnyPull) -> list[dict[str, Any]]:
    """What would be sent."""
    shaper, target = Shaper(pull, {}), EventTarget(source, pull, None)
    return [target.message(batch, row, b"", batch.as_of) for batch in connector_of(pull).batches({}) for row in shaper.shape(batch)[0]]


def declare(pulled, name: str) -> Any:
    """The source as the document has it, with its files in the folder of the test."""
    source = DECLARED[name]
    if "path" in source["pull"]:
        source = source | {"pull": source["pull"] | {"path": str(pulled.folder), "quiet": "0s"}}
    (pulled.definitions / "sources.yml").write_text(yaml.safe_dump({name: source}), encoding="utf-8")
    return load_definitions(pulled.definitions).source(name).pull


def test_every_declaration_of_the_document_is_sound(pulled):
    (pulled.definitions / "sources.yml").write_text(yaml.safe_dump(DECLARED), encoding="utf-8")
    assert set(load_definitions(pulled.definitions).sources) == set(DECLARED)


def test_the_traits_of_the_document_count_what_it_says(pulled):
    (pulled.definitions / "sources.yml").write_text(yaml.safe_dump(DECLARED), encoding="utf-8")
    (pulled.definitions / "views.yml").write_text(yaml.safe_dump(VIEWS), encoding="utf-8")
    traits = load_definitions(pulled.definitions).views["person"].traits
    assert {name: trait.of_sources[0].operator for name, trait in traits.items()} == {"city": "not_in", "city_of_dmp": "in"}
    assert (traits["city_of_dmp"].of_sources[0].value, traits["city_of_dmp"].span.name) == (["dmp"], "720h")


def test_the_file_of_orders_becomes_the_events_that_are_declared(pulled):
    pulled.put("orders.csv", block("csv").encode("cp1252"))
    first, second = messages("shop_export", declare(pulled, "shop_export"))
    assert (first["messageId"], first["userId"], first["event"], first["timestamp"]) == ("o-1", "anna", "Order Completed", "2026-05-31T12:05:00Z")
    assert (str(first["properties"]["revenue"]), second["properties"]) == ("1019.9", {"revenue": 5, "currency": "EUR"})
    assert first["original"]["event"]["order"] == "o-1"


def test_the_customers_have_the_history_the_query_asks_for(pulled, tmp_path):
    pulled.put("crm.jsonl", block("json"))
    declare(pulled, "crm")
    assert pulled.pull()["taken"] == 2
    connection = duckdb.connect()
    connection.load_extension(str(files("duckdb_extension_delta") / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"))
    assert connection.sql(block("sql").replace("data/default", f"{tmp_path}/t")).fetchall() == [("free",)]


def test_the_connector_of_the_document_is_pulled_like_any_other(pulled, tmp_path, monkeypatch):
    (tmp_path / "my_sources.py").write_text(block("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with sqlite3.connect(tmp_path / "till.db") as database:
        database.execute("CREATE TABLE visits (visit TEXT, card TEXT, seen_at TEXT)")
        database.execute("CREATE TABLE returns (visit TEXT, card TEXT, seen_at TEXT)")
        database.executemany("INSERT INTO visits VALUES (?, ?, ?)", [(f"v{number}", "anna", "2026-05-01T10:00:00Z") for number in range(3)])
    options = {"file": str(tmp_path / "till.db"), "at_once": 2}
    own = declare(pulled, "till").model_copy(update={"options": options})
    assert [(one["event"], one["messageId"]) for one in messages("till", own)] == [("Store Visited", f"v{number}") for number in range(3)]

    pulled.declare(till={"kind": "own", "connector": "my_sources:SqliteTables", "options": options, "entity": "visits", "key": ["visit"]})
    assert pulled.pull()["taken"] == 3
    with sqlite3.connect(tmp_path / "till.db") as database:
        database.execute("INSERT INTO returns VALUES ('r', 'ben', '2026-05-01T10:00:00Z')")
    assert (pulled.pull()["received"], [row["key"] for row in pulled.versions("visits")]) == (1, ["r", "v0", "v1", "v2"])
    pulled.declare(till={"kind": "own", "connector": "my_sources:Sqlite", "entity": "visits", "key": ["visit"]})
    pulled.pull()
    assert pulled.code == 2 and "a class on the Python path is needed" in pulled.err


def test_ad_costs_of_three_platforms_are_one_table_of_exact_costs(pulled, tmp_path):
    for name, folder in (("google_ads", "google"), ("meta_ads", "meta"), ("tiktok_ads", "tiktok")):
        DECLARED[name]["pull"] |= {"path": str(pulled.folder / folder), "quiet": "0s"}
    (pulled.definitions / "sources.yml").write_text(yaml.safe_dump({name: DECLARED[name] for name in ("google_ads", "meta_ads", "tiktok_ads")}), encoding="utf-8")
    header = "Day,Campaign ID,Campaign,Currency code,Cost (micros),Clicks,Impressions\n"
    pulled.put("google/a.csv", header + "2026-05-01,17,Spring,EUR,1230001,4,100\n2026-05-02,17,Spring,EUR,10,0,3\n")
    pulled.put("meta/a.jsonl", '{"date_start": "2026-05-01", "campaign_id": "17", "campaign_name": "Spring", "account_currency": "EUR", "spend": "0.1", "clicks": "2", "impressions": "9"}\n')
    tiktok = '{"dimensions": {"campaign_id": 17}, "day": "2026-05-01 00:00:00", "metrics": {"campaign_name": "Spring", "currency": "EUR", "spend": "0.123456789", "clicks": "1", "impressions": 5}}\n'
    pulled.put("tiktok/a.jsonl", tiktok)
    assert pulled.pull()["taken"] == 2
    pulled.put("google/b.csv", header + "2026-05-02,17,Spring,EUR,20,1,3\n")
    assert pulled.pull()["taken"] == 1
    connection = duckdb.connect()
    connection.load_extension(str(files("duckdb_extension_delta") / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"))
    rows = connection.sql(block("duckdb").replace("data/default", f"{tmp_path}/t")).fetchall()
    assert [(channel, str(cost), clicks) for channel, cost, clicks in rows] == [("google_ads", "1.230021000", 5), ("meta_ads", "0.100000000", 2), ("tiktok_ads", "0.123456789", 1)]
    assert {row["attributes"]["date"] for row in pulled.versions("ad_spend")} == {"2026-05-01", "2026-05-02"}
    assert {frozenset(row["attributes"]) for row in pulled.versions("ad_spend")} == {frozenset({"channel", "date", "campaign_id", "campaign_name", "cost", "currency", "clicks", "impressions"})}
