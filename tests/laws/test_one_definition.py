"""Law 5: the function that turns events into increments is one object in both layers, and it is pure."""

import ast
import inspect

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import millrace.identity.edges
import millrace.traits.fold
from batch.log_values import LogValues
from millrace.definitions import Definitions
from millrace.enrichment.enricher import enricher_of
from millrace.events.standard import Standardizer
from millrace.identity.edges import edges_of
from millrace.traits.fold import fold_events
from tests.laws import enriched
from tests.laws.histories import SECRET
from tests.laws.law import chooser, histories, law
from tests.laws.oracle import read_log
from tests.laws.product import comparable, events_table, merge_rows, python_rows, view_of
from tests.millrace.records import as_table


def test_speed_and_batch_fold_with_the_same_function_object():
    import batch.driver_engine
    import batch.log_values
    import batch.spark_engine
    import millrace.events.standard
    import speed.epoch

    assert speed.epoch.fold_events is batch.driver_engine.fold_events is batch.spark_engine.fold_events is fold_events
    assert speed.epoch.edges_of is batch.driver_engine.edges_of is batch.spark_engine.edges_of is edges_of
    assert millrace.events.standard.ValueReader is batch.log_values.ValueReader
    assert batch.driver_engine.LogValues is batch.spark_engine.LogValues is batch.log_values.LogValues


@law(share=0.15)
@given(history=histories())
def test_the_same_events_give_equal_rows_again_and_stay_as_they_were(history):
    view, log = view_of(history[1]), read_log(history[0], SECRET)
    table = events_table(log.counted, view)
    before = bytes_of(table)
    first, edges = fold_events(table, view.states), edges_of(table)
    assert fold_events(table, view.states).equals(first)
    assert edges_of(table).equals(edges)
    assert bytes_of(table) == before


@law(share=0.15)
@given(history=histories())
def test_chunks_and_slices_of_a_table_make_no_difference(history):
    view, log = view_of(history[1]), read_log(history[0], SECRET)
    table = events_table(log.counted, view)
    chunked = pa.concat_tables([table.slice(start, 3) for start in range(0, len(table), 3)] or [table])
    assert fold_events(chunked, view.states).equals(fold_events(table, view.states))
    assert edges_of(chunked).equals(edges_of(table))
    sliced = pa.concat_tables([table, table]).combine_chunks().slice(len(table))
    assert fold_events(sliced, view.states).equals(fold_events(table, view.states))
    assert edges_of(sliced).equals(edges_of(table))


@pytest.fixture(scope="module")
def tenant(tmp_path_factory) -> Definitions:
    return Definitions(enrichment=enriched.rules(tmp_path_factory.mktemp("tenant")), views={"person": view_of(enriched.TRAITS)})


@law(share=0.15)
@given(history=histories(), more=st.binary(max_size=80))
def test_what_batch_reads_and_computes_again_from_the_log_is_what_the_stream_did_epoch_by_epoch(history, more, tenant):
    choose = chooser(more)
    records = sorted((enriched.with_more(record, choose) for record in history[0]), key=lambda record: record.position)
    states = tenant.states["person"]
    standardizer = Standardizer(states, SECRET, enrichment=tenant.enrichment)
    epochs = [standardizer.standardize(as_table([one for one in records if one.epoch == epoch])) for epoch in sorted({one.epoch for one in records})]
    streamed = [rows.filter(pc.is_valid(pc.field("node")) & pc.is_null(pc.field("reason"))) for rows in epochs]
    if not streamed:
        return
    live = pa.concat_tables([rows.drop_columns(["violations"] if "violations" in rows.column_names else []) for rows in streamed])

    enricher_of.cache_clear()  # another process
    values = LogValues.of(Definitions.from_json(tenant.to_json())).columns(live["payload"].cast(pa.string()), live["event_time"])
    assert values and {name: column.to_pylist() for name, column in values.items()} == {name: live[name].to_pylist() for name in values}
    again = live
    for name, column in values.items():
        again = again.set_column(again.column_names.index(name), name, column)
    merged = merge_rows([python_rows(fold_events(rows, states), states) for rows in streamed], states)
    assert comparable(python_rows(fold_events(again, states), states), states) == comparable(merged, states)


def bytes_of(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("module", [millrace.traits.fold, millrace.identity.edges])
def test_neither_clock_nor_chance_nor_files_are_within_reach_of_the_fold(module):
    tree = ast.parse(inspect.getsource(module))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= {"hashlib", "collections", "numpy", "pyarrow", "datasketches", "millrace", "typing", "dataclasses"}
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not [name for name in called if name in ("open", "print", "input") or "random" in name or ".now" in name]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global | ast.Nonlocal)]
