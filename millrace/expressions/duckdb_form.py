"""The SQL form of typed trees, for DuckDB: members of segments, oracles, the SQL an analyst is shown. Text of literals and names is quoted here and nowhere else.

Times and durations are BIGINT microseconds inside, numbers DECIMAL(38,9); the instant of evaluation is the parameter ``$now`` (microseconds).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from millrace.expressions.texts import NUMBER_PATTERN, letters
from millrace.expressions.tree import DAY_MICROS, FIRST_TIME, HOUR_MICROS, LAST_TIME, LEAST_INTEGER, LIMIT, MOST_INTEGER, Node
from millrace.traits.algebra import plain

_SIGNS = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "add": "+", "sub": "-", "mul": "*"}


def text_literal(text: str) -> str:
    return " || chr(0) || ".join("'" + part.replace("'", "''") + "'" for part in text.split("\0"))


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def column_of(name: str, type: str) -> str:
    """A name as the column of this name in a table such as serving/profiles."""
    quoted = identifier(name)
    casts = {"time": f"epoch_us({quoted})", "times": f"list_transform({quoted}, lambda t: epoch_us(t))", "number": f"CAST({quoted} AS DECIMAL(38,9))"}
    return casts.get(type, f"CAST({quoted} AS BIGINT)" if type == "integer" else quoted)


class DuckForm:
    """``leaf``: SQL of a name in the inner type of its type; ``segment``: SQL of a segment, true or false; ``thresholds``: as settled, absent ones are NULL."""

    def __init__(
        self,
        leaf: Callable[[str, str], str] = column_of,
        segment: Callable[[str], str] = identifier,
        thresholds: Mapping[tuple[str, str, int], Any] | None = None,
    ) -> None:
        self._leaf, self._segment_sql, self._thresholds, self._lets = leaf, segment, thresholds or {}, 0

    def sql(self, node: Node) -> str:
        """An expression of DuckDB with the value of the tree."""
        handler = getattr(self, f"_{node.op}", None)
        if handler is not None:
            return handler(node)
        args = [self.sql(arg) for arg in node.args]
        if node.op in ("and", "or"):
            return "(" + f" {node.op.upper()} ".join(args) + ")"
        if node.op in ("eq", "ne", "lt", "le", "gt", "ge"):
            return f"({args[0]} {_SIGNS[node.op]} {args[1]})"
        return f"({_TEMPLATES[node.op].format(*args)})"

    def _name(self, node: Node) -> str:
        return self._leaf(node.value, node.type)

    def _now(self, node: Node) -> str:
        return "CAST($now AS BIGINT)"

    def _literal(self, node: Node) -> str:
        return _literal(node.type, node.value)

    def _threshold(self, node: Node) -> str:
        value = self._thresholds.get(node.value)
        return "NULL" if value is None else _literal(node.type, value)

    def _segment(self, node: Node) -> str:
        return self._segment_sql(node.value)

    def _let(self, value: str, body: str) -> str:
        """``body`` with ``{}`` for the value, which is written, and computed, once."""
        if re.fullmatch(r"[\w\"$.():]{1,60}", value):
            return body.format(value)
        self._lets += 1
        name = f"let_{self._lets}"
        return f"list_transform([{value}], lambda {name}: {body.format(name)})[1]"

    def _in(self, node: Node) -> str:
        first, *items = (self.sql(arg) for arg in node.args)
        return f"({first} IN ({', '.join(items)}))"

    def _exact(self, value: str) -> str:
        """A number as arithmetic knows it, NULL beyond. (CASE and no TRY_CAST: DuckDB's optimizer takes a TRY_CAST out of a comparison with a constant.)"""
        most = "99999999999999999999.999999999"
        return self._let(value, f"CASE WHEN {{0}} BETWEEN -{most} AND {most} THEN CAST({{0}} AS DECIMAL(29,9)) END")

    def _integer(self, value: str) -> str:
        return self._let(value, f"CASE WHEN {{0}} BETWEEN {LEAST_INTEGER}::HUGEINT AND {MOST_INTEGER} THEN CAST({{0}} AS BIGINT) END")

    def _arithmetic(self, node: Node) -> str:
        """In types that hold every result, which then must fit the type it has."""
        left, right = (self.sql(arg) for arg in node.args)
        if node.type != "number":
            return self._integer(f"CAST({left} AS HUGEINT) {_SIGNS[node.op]} CAST({right} AS HUGEINT)")
        return self._exact(f"{self._exact(left)} {_SIGNS[node.op]} {self._exact(right)}")

    _add = _sub = _arithmetic

    def _units(self, node: Node) -> tuple[str, str]:
        left, right = (f"CAST({self._exact(self.sql(arg))} * 1000000000 AS HUGEINT)" for arg in node.args)
        return left, right

    def _mul(self, node: Node) -> str:
        """In whole units of 10**-9: a product of 38 digits fits HUGEINT, a double tells those that are longer."""
        if node.type != "number":
            return self._arithmetic(node)
        left, right = self._units(node)
        product = self._let(f"{{'a': {left}, 'b': {right}}}", "CASE WHEN abs(CAST({0}.a AS DOUBLE) * CAST({0}.b AS DOUBLE)) < 1.1e38 THEN {0}.a * {0}.b END")
        return self._from_units(self._let(product, f"CASE WHEN abs({{0}}) < {10**38} THEN (abs({{0}}) + 500000000) // 1000000000 * sign({{0}}) END"))

    def _div(self, node: Node) -> str:
        """In whole units of 10**-9, half away from zero; DuckDB's own / is a double."""
        left, right = self._units(node)
        quotient = "((abs({0}.n) + abs({0}.d) // 2) // abs({0}.d) * CASE WHEN ({0}.n < 0) = ({0}.d < 0) THEN 1 ELSE -1 END)"
        return self._from_units(self._let(f"{{'n': {left} * 1000000000::HUGEINT, 'd': {right}}}", quotient))

    def _from_units(self, units: str) -> str:
        return self._let(units, f"CASE WHEN abs({{0}}) < {LIMIT} THEN CAST(CAST({{0}} AS DECIMAL(29,0)) * 0.000000001 AS DECIMAL(29,9)) END")

    def _round(self, node: Node) -> str:
        return self._exact(f"CAST({self._exact(self.sql(node.args[0]))} AS DECIMAL({21 + node.value},{node.value}))")

    def _signless(self, node: Node) -> str:
        function, value = "abs" if node.op == "abs" else "-", self.sql(node.args[0])
        return f"{function}({self._exact(value)})" if node.type == "number" else self._integer(f"{function}(CAST({value} AS HUGEINT))")

    _neg = _abs = _signless

    def _extreme(self, node: Node) -> str:
        args = [self.sql(arg) for arg in node.args]
        return self._let(f"[{', '.join(args)}]", f"CASE WHEN list_count({{0}}) = {len(args)} THEN list_{node.op}({{0}}) END")

    _min = _max = _extreme

    def _coalesce(self, node: Node) -> str:
        return f"coalesce({', '.join(self.sql(arg) for arg in node.args)})"

    def _days(self, node: Node) -> str:
        return self._let(self.sql(node.args[0]), f"({{0}} // {DAY_MICROS} - CASE WHEN {{0}} % {DAY_MICROS} < 0 THEN 1 ELSE 0 END)")

    def _calendar(self, node: Node) -> str:
        part = f"(({{0}} % {DAY_MICROS} + {DAY_MICROS}) % {DAY_MICROS} // {HOUR_MICROS})" if node.op == "hour" else f"{node.op}(make_timestamp({{0}}))"
        return self._let(self.sql(node.args[0]), f"CASE WHEN {{0}} BETWEEN {FIRST_TIME} AND {LAST_TIME} THEN {part} END")

    _year = _month = _day = _hour = _calendar

    def _lower(self, node: Node) -> str:
        """By the table all forms share: engines know other letters."""
        capitals, small = letters()
        return f"translate({self.sql(node.args[0])}, {text_literal(capitals)}, {text_literal(small)})"

    def _number(self, node: Node) -> str:
        pattern = text_literal(NUMBER_PATTERN.strip("^$"))
        return self._let(self.sql(node.args[0]), f"CASE WHEN regexp_full_match({{0}}, {_braced(pattern)}) THEN CAST({{0}} AS DECIMAL(29,9)) END")

    def _has(self, node: Node) -> str:
        several, item = (self.sql(arg) for arg in node.args)
        return self._let(f"{{'xs': {several}, 'x': {item}}}", "CASE WHEN {0}.x IS NOT NULL THEN coalesce(list_contains({0}.xs, {0}.x), false) END")

    def _bucket(self, node: Node) -> str:
        salt, shares = node.value
        return f"(CAST('0x' || substr(sha256({text_literal(salt + ':')} || {self.sql(node.args[0])}), 1, 15) AS BIGINT) % {shares})"

    def _sequence(self, node: Node) -> str:
        first, then = (f"coalesce({self.sql(arg)}, []::BIGINT[])" for arg in node.args)
        self._lets += 1
        one, other = f"first_{self._lets}", f"then_{self._lets}"
        after = f"{other} > {one}" if node.value is None else f"{other} > {one} AND {other} <= {one} + {node.value}"
        followed = f"len(list_filter({then}, lambda {other}: {after})) > 0"
        test = followed if node.op == "followed_by" else f"{one} + {node.value} < {self._now(node)} AND NOT ({followed})"
        return f"(len(list_filter({first}, lambda {one}: {test})) > 0)"

    _followed_by = _not_followed_by = _sequence

    def _funnel(self, node: Node) -> str:
        """Pairs of the first step and the last one so far, of those who have come so far; how many of the steps leave any."""
        first, *others = (f"coalesce({self.sql(arg)}, []::BIGINT[])" for arg in node.args)
        self._lets += 1
        start, pair, other = (f"{name}_{self._lets}" for name in ("start", "pair", "other"))
        pairs = [f"list_transform({first}, lambda {start}: {{'s': {start}, 'at': {start}}})"]
        for times in others:
            in_time = "true" if node.value is None else f"{other} <= {pair}.s + {node.value}"
            following = f"list_min(list_filter({times}, lambda {other}: {other} > {pair}.at AND {in_time}))"
            moved = f"list_transform({pairs[-1]}, lambda {pair}: {{'s': {pair}.s, 'at': {following}}})"
            pairs.append(f"list_filter({moved}, lambda {pair}: {pair}.at IS NOT NULL)")
        return f"({' + '.join(f'CAST(len({found}) > 0 AS BIGINT)' for found in pairs)})"


_TEMPLATES = {
    "not": "NOT {0}", "is_null": "{0} IS NULL", "not_null": "{0} IS NOT NULL",
    "contains": "contains({0}, {1})", "starts_with": "starts_with({0}, {1})",
    "number_of_integer": "CAST({0} AS DECIMAL(38,9))",
    "length": "length({0})", "count": "coalesce(len({0}), 0)",
}  # fmt: skip


def _literal(type: str, value: Any) -> str:
    if type == "text":
        return text_literal(value)
    if type == "boolean":
        return "true" if value else "false"
    return f"CAST('{plain(value)}' AS DECIMAL(38,9))" if type == "number" else f"CAST({value} AS BIGINT)"


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
