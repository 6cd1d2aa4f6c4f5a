"""Messages read in one go and read strictly: the same, for sound, damaged and odd texts; typed values against the oracle."""

import random
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pyarrow as pa
import pytest

from millrace.events import messages
from millrace.events.json_values import DEEPEST, LONGEST, double_text, scaled_number, text_of
from millrace.events.messages import ENVELOPE, MessageReader, numbers, texts
from millrace.events.values import value_specs
from tests import tiers
from tests.laws.histories import TRAITS
from tests.laws.oracle_values import Number, java_text, number_of
from tests.laws.product import view_of
from tests.millrace.records import bomb, damaged, hand_picked, raw
from tests.millrace.records import numbers as doubles
from tests.tiers import SEED

SPECS = value_specs(view_of(TRAITS).states)
CHANCE = random.Random(SEED)


def readers(paths: list[str]) -> tuple[MessageReader, MessageReader]:
    """One as it is, one that reads nothing in one go."""
    strict = MessageReader(paths)
    strict._decode = refuse
    return MessageReader(paths), strict


def refuse(text: bytes) -> None:
    raise msgspec.DecodeError


def read_by(reader: MessageReader, payloads: pa.Array) -> list[list[object]]:
    found = reader.read(pa.chunked_array([payloads[:7], payloads[7:]]))
    columns = [found.field(name) for name in ENVELOPE] + [found.value(*spec) for spec in SPECS]
    return [[found.problems.get(row), *values] for row, values in enumerate(zip(*(column.to_pylist() for column in columns), strict=True))]


def test_a_message_read_in_one_go_is_the_one_read_strictly():
    records = [*hand_picked(), *damaged(3 * tiers.RECORDS, SEED + 1), *doubles(2_000, SEED + 1)]
    payloads = pa.array([record.value for record in records], pa.binary())
    quick, strict = (read_by(reader, payloads) for reader in readers([path for path, _ in SPECS]))
    wrong = [f"{one} instead of {other}: {record.value!r:.300}" for one, other, record in zip(quick, strict, records, strict=True) if one != other]
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize("value", ["5.0", "5", "-0", "-0.0", "1e3", "1E-3", "1e400", "true", "null", "12345678.5", "123456789012345678901", "[5.0]", '"5.0"', '{"id":5.0}', '{"id":true}', "0.1"])
def test_a_value_that_is_alone_in_its_column_is_the_one_read_strictly(value: str):
    payloads = pa.array([raw(f',"properties":{{"revenue":{value},"product":{value}}}')] * 2, pa.binary())
    quick, strict = (read_by(reader, payloads) for reader in readers([path for path, _ in SPECS]))
    assert quick == strict


def test_nearly_all_sound_messages_are_read_in_one_go():
    reader = MessageReader(["properties.revenue"])
    payloads = [raw(f',"properties":{{"revenue":{number}.25,"n":"\\u00e4"}},"timestamp":"2026-03-01"') for number in range(50)] + [raw(',"anonymousId":5')]
    assert not reader.read(pa.chunked_array([payloads], pa.binary()))._strict


@pytest.mark.parametrize("make", [lambda n: raw(',"deep":', bomb(n - 1)), lambda n: raw(',"properties":{"product":', bomb(n - 2, '{"id":', "}"), "}")])
def test_the_deepest_message_that_is_read_is_the_same_for_both(make: Callable[[int], bytes]):
    payloads = pa.array([make(DEEPEST), make(DEEPEST + 1)], pa.binary())
    assert [list(reader.read(pa.chunked_array([payloads])).problems.values()) for reader in readers(["properties.product.id"])] == [["malformed_json"]] * 2
    assert [list(reader.read(pa.chunked_array([payloads])).problems) for reader in readers([])] == [[1], [1]]


@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")])
def test_the_deepest_value_that_is_read_is_text_to_its_bottom(pair: tuple[str, str]):
    deep = bomb(DEEPEST - 2, *pair)
    payloads = pa.array([raw(',"properties":{"revenue":', deep, "}")], pa.binary())
    for reader in readers(["properties.revenue"]):
        assert reader.read(pa.chunked_array([payloads])).value("properties.revenue", "string").to_pylist() == [deep]


@pytest.mark.parametrize("number", ["1{}", "0.{}1", "1.{}e5", "-1{}"])
def test_the_longest_number_that_is_read_is_the_same_for_both(number: str):
    digits = LONGEST - sum(map(str.isdigit, number))
    payloads = pa.array([raw(',"n":', number.format("0" * count)) for count in (digits, digits + 1)], pa.binary())
    assert [list(reader.read(pa.chunked_array([payloads])).problems) for reader in readers([])] == [[1], [1]]


def test_numbers_are_those_of_the_oracle_whichever_way_they_are_read():
    values = [CHANCE.choice((1, -1)) * CHANCE.random() * 10.0 ** CHANCE.randrange(-12, 17) for _ in range(3_000)]
    values += [round(value, CHANCE.randrange(8)) for value in values] + [0.0, -0.0, 1e22, 5e-324, 0.1 + 0.2, 1e15, 999999999999999.9]
    values += [CHANCE.randrange(-(10**17), 10**17) // 10 ** CHANCE.randrange(17) for _ in range(1_000)]
    expected = [number_of(Number(java_text(value) if isinstance(value, float) else str(value))) for value in values]
    assert [scaled_number(value) for value in values] == expected
    for mixed in ([], ["x"]):
        found = numbers([*values, None, *mixed]).to_pylist()
        assert [value and int(value.scaleb(9)) for value in found] == [value and int(Decimal(value)) for value in [*expected, None, *([None] * len(mixed))]]
    alone = [found if (found := numbers([value])[0].as_py()) is None else int(found.scaleb(9)) for value in values]
    assert alone == expected


def test_a_double_is_spelled_as_java_spells_it():
    values = [CHANCE.choice((1, -1)) * CHANCE.random() * 10.0 ** CHANCE.randrange(-300, 300) for _ in range(2_000)]
    values += [0.0, -0.0, 1e-3, 9.999e-4, 1e7, 9999999.0, 1.0, 100.0, 1e22, 5e-324, float("inf")]
    assert [double_text(value) for value in values] == [java_text(value) for value in values]


def test_true_is_no_number_and_an_integer_of_any_size_is_its_digits():
    values = [True, False, 1, "1", 10**30, -0.5, None]
    assert numbers(values).to_pylist() == [None, None, Decimal(1), Decimal(1), None, Decimal("-0.5"), None]
    assert texts(values).to_pylist() == ["true", "false", "1", "1", str(10**30), "-0.5", None]
    assert texts([1, None, 2]).to_pylist() == ["1", None, "2"]
    assert [texts(mixed).to_pylist() for mixed in ([True, None], [5.0, None], [1, 5.0], [5.0, 1], [True, 1], [1, True], [1.0, False], [2**63, 1], [1, "1", 1.0])] == [
        ["true", None], ["5.0", None], ["1", "5.0"], ["5.0", "1"], ["true", "1"], ["1", "true"], ["1.0", "false"], [str(2**63), "1"], ["1", "1", "1.0"],
    ]  # fmt: skip
    assert [numbers(mixed).to_pylist() for mixed in ([True, 1], [1, True], [1.0, True], [False], [None], [2**63, 1.5])] == [
        [None, Decimal(1)], [Decimal(1), None], [Decimal(1), None], [None], [None], [None, Decimal("1.5")],
    ]  # fmt: skip
    assert text_of({"a": [1, 2.50, None, True, "\n"]}) == '{"a":[1,2.5,null,true,"\\n"]}'
    assert messages.numbers([]).type == pa.decimal128(38, 9)
