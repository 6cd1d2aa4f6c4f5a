"""Law 5: the function that turns events into increments is one object in both layers, and it is pure."""

import ast
import inspect

import pyarrow as pa
import pytest
from hypothesis import given

import millrace.identity.edges
import millrace.traits.fold
from millrace.identity.edges import edges_of
from millrace.traits.fold import fold_events
from tests.laws.histories import SECRET
from tests.laws.law import histories, law
from tests.laws.oracle import read_log
from tests.laws.product import events_table, view_of


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
