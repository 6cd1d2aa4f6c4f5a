"""Files become versions of entities, from the file to the table: changes in their place, nothing twice, deletes, corrections, drift, and nothing written by a dry run."""

import json

CRM = {
    "glob": "*.csv", "format": "csv", "entity": "customers", "key": ["id"], "changed_at": "changed",
    "columns": {"id": "text", "city": "text", "balance": "number", "changed": "time"},
}  # fmt: skip
HEADER = "id,city,balance,changed\n"


def test_changes_that_come_late_land_in_their_place_and_repeated_ones_change_nothing(pulled, history_of):
    pulled.declare(crm=CRM)
    pulled.put("a.csv", HEADER + "1,Bonn,5,2026-01-01\n1,Kiel,5,2026-03-01\n2,Ulm,7,2026-01-01\n")
    pulled.put("b.csv", HEADER + "1,Jena,5,2026-02-01\n1,Bonn,5.00,2026-01-01\n")
    counts = pulled.pull()
    assert (counts["received"], counts["taken"], counts["unchanged"]) == (5, 4, 1)
    assert history_of("1", "city") == [("Bonn", "01-01", "02-01"), ("Jena", "02-01", "03-01"), ("Kiel", "03-01", None)]
    assert [row["is_current"] for row in pulled.versions()] == [False, False, True, True]

    before = pulled.versions()
    pulled.put("c.csv", HEADER + "2,Ulm,7,2026-01-01\n1,Jena,5,2026-02-01\n")
    assert pulled.pull()["unchanged"] == 2
    assert pulled.versions() == before
    assert pulled.pull()["received"] == 0
    assert pulled.code == 4


def test_a_file_that_grows_or_is_corrected_is_read_again_and_only_what_is_new_changes_anything(pulled, history_of):
    pulled.declare(crm=CRM)
    pulled.put("a.csv", HEADER + "1,Bonn,5,2026-01-01\n2,Ulm,7,2026-01-01\n")
    pulled.pull()
    pulled.put("a.csv", HEADER + "1,Bonn,5,2026-01-01\n2,Ulm,7,2026-01-01\n1,Kiel,5,2026-02-01\n")
    grown = pulled.pull()
    pulled.put("a.csv", HEADER + "1,Bonn,5,2026-01-01\n2,Ulm,8,2026-01-01\n1,Kiel,5,2026-02-01\n")
    corrected = pulled.pull()
    assert [(one["taken"], one["unchanged"]) for one in (grown, corrected)] == [(1, 2), (1, 2)]
    assert history_of("1", "city") == [("Bonn", "01-01", "02-01"), ("Kiel", "02-01", None)]
    assert history_of("2", "balance") == [(7, "01-01", "01-01"), (8, "01-01", None)]


def test_rows_that_do_not_say_when_they_changed_hold_from_the_time_of_their_file(pulled):
    pulled.declare(crm={"glob": "*.jsonl", "format": "jsonl", "entity": "customers", "key": ["id"]})
    pulled.put("1.jsonl", '{"id": 1, "city": "Bonn"}\n{"id": 2, "city": "Ulm"}\n')
    pulled.put("2.jsonl", '{"id": 1, "city": "Kiel"}\n{"city": "Ulm", "id": 2}\n')
    counts = pulled.pull()
    assert (counts["taken"], counts["unchanged"]) == (3, 1)
    first, second, third = pulled.versions()
    assert (first["key"], second["key"], third["key"]) == ("1", "1", "2")
    assert first["valid_to"] == second["valid_from"]
    assert (second["valid_from"] - first["valid_from"]).total_seconds() == 60


def test_what_a_snapshot_no_longer_has_is_deleted_and_comes_back_when_it_is_there_again(pulled, history_of):
    pulled.declare(crm=CRM | {"snapshot": True})
    pulled.put("mon.csv", HEADER + "1,Bonn,5,2026-01-01\n2,Ulm,7,2026-01-01\n3,Aue,7,2026-01-01\n")
    pulled.put("tue.csv", HEADER + "1,Bonn,5,2026-01-01\n3,Aue,7,2026-01-01\n")
    assert pulled.pull()["deletes"] == 1
    assert [(row["attributes"] is None, row["deleted"], row["is_current"]) for row in pulled.versions() if row["key"] == "2"] == [(False, False, False), (True, True, True)]
    pulled.put("wed.csv", HEADER + "1,Bonn,5,2026-01-01\n2,Ulm,7,2026-01-01\n3,Aue,7,2026-01-01\n")
    again = pulled.pull()
    assert (again["taken"], again["unchanged"]) == (1, 2)
    assert [row["deleted"] for row in pulled.versions() if row["key"] == "2"] == [False, True, False]
    pulled.put("thu.csv", HEADER + "3,Aue,7,2026-01-01\n")
    assert pulled.pull()["deletes_withheld"] == 2
    assert all(not row["deleted"] for row in pulled.versions() if row["is_current"])


def test_a_snapshot_with_a_row_that_cannot_be_read_deletes_nobody(pulled):
    pulled.declare(crm=CRM | {"snapshot": True, "delete_at_most": 1})
    pulled.put("mon.csv", HEADER + "1,Bonn,5,2026-01-01\n2,Ulm,7,2026-01-01\n")
    pulled.put("tue.csv", HEADER + "1,Bonn,5,2026-01-01\n2,Ulm,seven,2026-02-01\n")
    counts = pulled.pull()
    assert (counts["rejected"], counts.get("deletes", 0), counts["deletes_withheld"]) == (1, 0, 1)
    assert [row["key"] for row in pulled.versions() if row["is_current"] and not row["deleted"]] == ["1", "2"]


def test_a_row_may_say_that_its_key_is_gone(pulled):
    pulled.declare(crm=CRM | {"deleted": "gone"})
    pulled.put("a.csv", "id,city,balance,changed,gone\n1,Bonn,5,2026-01-01,no\n1,Bonn,5,2026-02-01,yes\n2,Ulm,1,2026-01-01,perhaps\n")
    assert pulled.pull()["reasons"] == {"wrong_type": 1}
    assert [(row["deleted"], row["is_current"]) for row in pulled.versions()] == [(False, False), (True, True)]


def test_a_column_more_is_taken_and_told_one_less_or_of_another_type_is_quarantined(pulled):
    pulled.declare(crm=CRM)
    pulled.put("a.csv", "id,city,balance,changed,phone\n1,Bonn,5,2026-01-01,123\n2,Ulm,5 EUR,2026-01-01,\n")
    pulled.put("b.csv", "id,balance,changed\n3,7,2026-01-01\n")
    pulled.put("c.csv", HEADER + ",Bonn,5,2026-01-01\n4,Ulm,5,\n5,Ulm\n")
    counts = pulled.pull()
    assert counts["reasons"] == {"wrong_type": 1, "missing_column": 1, "missing_key": 1, "missing_changed_at": 1, "wrong_number_of_fields": 1}
    assert counts["drift"] == {"new_columns": {"phone": "text"}, "missing_columns": {"city": 1}, "wrong_type": {"balance": 1}}
    assert [row["attributes"] for row in pulled.versions()] == [{"id": "1", "city": "Bonn", "balance": 5, "phone": "123"}]
    originals = {row["reason"]: (row["part"], row["field"], json.loads(row["original"])) for row in pulled.rejected()}
    assert originals["wrong_type"] == ("a.csv", "balance", {"id": "2", "city": "Ulm", "balance": "5 EUR", "changed": "2026-01-01"})
    assert originals["wrong_number_of_fields"] == ("c.csv", None, ["5", "Ulm"])
    assert len(originals) == 5


def test_a_column_that_was_not_declared_keeps_its_type_until_somebody_says_otherwise(pulled):
    pull = {"glob": "*.jsonl", "format": "jsonl", "entity": "customers", "key": ["id"]}
    pulled.declare(crm=pull)
    pulled.put("a.jsonl", '{"id": "1", "zip": "53111"}\n')
    assert pulled.pull()["drift"] == {"new_columns": {"id": "text", "zip": "text"}}
    pulled.put("b.jsonl", '{"id": "2", "zip": 53111}\n')
    assert pulled.pull()["reasons"] == {"type_changed": 1}
    pulled.declare(crm=pull | {"columns": {"zip": "text"}})
    pulled.put("b.jsonl", '{"id": "2", "zip": 53111, "more": null}\n')
    assert pulled.pull()["taken"] == 1
    assert [row["attributes"]["zip"] for row in pulled.versions()] == ["53111", "53111"]


def test_rows_that_are_rejected_again_are_noted_once(pulled):
    pulled.declare(crm=CRM)
    pulled.put("a.csv", HEADER + "1,Bonn,five,2026-01-01\n1,Bonn,five,2026-01-01\n")
    pulled.pull()
    pulled.put("a.csv", HEADER + "1,Bonn,five,2026-01-01\n1,Bonn,five,2026-01-01\n2,Ulm,1,2026-01-01\n")
    assert pulled.pull()["rejected"] == 2
    assert len(pulled.rejected()) == 2


def test_a_dry_run_shows_what_would_be_and_writes_no_table_but_its_run(pulled):
    pulled.declare(crm=CRM)
    pulled.put("a.csv", HEADER + "".join(f"{number},Bonn,5,2026-01-01\n" for number in range(5)) + "1,Bonn,five,2026-01-01\n0,Bonn,5,2026-01-01\n")
    counts = pulled.pull("--dry-run")
    assert (counts["taken"], counts["unchanged"], counts["rejected"], len(counts["samples"])) == (5, 1, 1, 3)
    assert counts["samples"][0] == {"id": "0", "city": "Bonn", "balance": 5, "changed": "2026-01-01T00:00:00Z"}
    assert (pulled.versions(), pulled.rejected(), pulled.positions()) == ([], [], [])
    assert "Bonn" not in json.dumps(pulled.tables.read("ops/runs")["counts"].to_pylist()) + pulled.err
    assert pulled.pull()["taken"] == 5


def test_one_source_that_fails_keeps_no_other_from_being_pulled(pulled):
    pulled.declare(absent={"path": str(pulled.folder / "no"), "format": "csv", "entity": "customers", "key": ["id"]}, crm=CRM)
    pulled.put("a.csv", HEADER + "1,Bonn,5,2026-01-01\n")
    assert "make it, or correct `path`" in pulled.pull()["error"]
    assert (pulled.code, len(pulled.versions())) == (1, 1)


def test_no_key_and_no_attribute_stands_in_the_statistics_of_delta(pulled):
    pulled.declare(crm=CRM)
    pulled.put("a.csv", HEADER + "4711,Bonn,5,2026-01-01\n")
    pulled.pull()
    pulled.put("b.csv", HEADER + "4711,Kiel,5,2026-02-01\n")
    pulled.pull()
    log = "".join(path.read_text() for path in (pulled.root / "t" / "entities" / "customers" / "_delta_log").glob("*.json"))
    assert "valid_from" in log
    assert "4711" not in log and "Bonn" not in log


def test_an_unknown_source_is_told_with_the_nearest_name(pulled):
    pulled.declare(crm=CRM)
    pulled.pull("--source", "crn")
    assert pulled.code == 2
    assert "did you mean 'crm'" in pulled.err


def test_a_file_that_is_refused_keeps_no_other_file_from_being_taken(pulled):
    pulled.declare(crm=CRM)
    pulled.put("a.csv", HEADER + '1,"Bonn,5,2026-01-01\n')
    pulled.put("b.csv", HEADER + "2,Ulm,5,2026-01-01\n")
    assert "a.csv: a quote that opens in line 2" in pulled.pull()["error"]
    assert (pulled.code, [row["key"] for row in pulled.versions()]) == (1, ["2"])
    pulled.put("a.csv", HEADER + "1,Bonn,5,2026-01-01\n")
    assert (pulled.pull()["taken"], pulled.code) == (1, 0)
