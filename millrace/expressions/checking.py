"""From an untyped tree to a typed one: names are looked up, types must fit, every problem is found. What leaves needs no further check by any form.

``now`` may stand where the instant at which a verdict turns can be worked out: added or subtracted in comparisons, and in days(…), year(…), ….
"""

from collections.abc import Callable, Collection

from millrace.expressions.calls import call
from millrace.expressions.instants import coefficient
from millrace.expressions.tree import TYPES, Node, Problem
from millrace.traits.algebra import UNIT
from millrace.yaml_files import did_you_mean

BAD = "bad"
"""Type of what has a problem already: it causes no second one."""
_INVERSE = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_SIGNS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "=", "ne": "!=", "add": "+", "sub": "-", "mul": "*", "div": "/"}
_TIMELY = {  # what + and - of times and durations give
    ("add", "time", "duration"): "time", ("add", "duration", "time"): "time", ("add", "duration", "duration"): "duration",
    ("sub", "time", "duration"): "time", ("sub", "time", "time"): "duration", ("sub", "duration", "duration"): "duration",
}  # fmt: skip
TypeOf = Callable[[str], str | None]


class Checker:
    """``type_of`` gives the type of a name, ``any`` for one that takes what it is compared with, None for an unknown one; ``known``: names for hints."""

    def __init__(self, type_of: TypeOf, known: Collection[str], segments: Collection[str], problems: list[Problem]) -> None:
        self._type_of, self._known, self._segments, self._problems = type_of, known, segments, problems

    def check(self, node: Node) -> Node:
        if node.op == "call":
            return call(self, node)
        handler = getattr(self, f"_{node.op}", None)
        return node if handler is None else handler(node)

    def problem(self, node: Node, message: str) -> Node:
        self._problems.append(Problem(node.at, message))
        return Node("bad", BAD, at=node.at)

    def _name(self, node: Node) -> Node:
        name = node.value
        found = self._type_of(name)
        if found is not None and (found in TYPES or found == "any"):
            return node.typed(found)
        if name in self._segments:
            return Node("segment", "boolean", value=name, at=node.at)
        return self.problem(node, f"unknown name {name!r}{did_you_mean(name, [*self._known, *self._segments])}")

    def segment(self, node: Node, name: str) -> Node:
        if name in self._segments:
            return Node("segment", "boolean", value=name, at=node.at)
        return self.problem(
            node, f"unknown segment {name!r}{did_you_mean(name, self._segments)}; allowed are {', '.join(sorted(self._segments)) or 'none here'}"
        )

    def boolean(self, node: Node, where: str) -> Node:
        """The checked node, true or false."""
        found = self.settled(self.check(node), "boolean")
        return (
            found
            if found.type in ("boolean", BAD)
            else self.problem(found, f"{where} needs something true or false, and this is {found.type}; compare it, such as > 0")
        )

    def _and(self, node: Node) -> Node:
        return node.typed("boolean", *(self.boolean(arg, node.op) for arg in node.args))

    _or = _not = _and

    def settled(self, node: Node, type: str) -> Node:
        """A name of any type takes the type that is needed of it."""
        return node.typed("text" if type == "any" else type) if node.type == "any" else node

    def as_number(self, node: Node) -> Node:
        if node.type != "integer":
            return node
        return node.typed("number", value=node.value * UNIT) if node.op == "literal" else Node("number_of_integer", "number", (node,), at=node.at)

    def alike(self, node: Node, args: tuple[Node, ...], what: str) -> tuple[Node, ...]:
        """The arguments in one type, integers as numbers where one is a number; none after a problem."""
        known = [arg for arg in args if arg.type != "any"]
        if any(arg.type == BAD for arg in args):
            return ()
        wanted = "number" if {arg.type for arg in known} == {"integer", "number"} else known[0].type if known else "text"
        args = tuple(self.settled(arg, wanted) for arg in args)
        for arg in args:
            if arg.type != wanted and not (wanted == "number" and arg.type == "integer"):
                self.problem(node, f"{what} needs two of one type, found {wanted} and {arg.type}{_mend(wanted, arg.type)}")
                return ()
        return tuple(self.as_number(arg) for arg in args) if wanted == "number" else args

    def _comparison(self, node: Node) -> Node:
        if share := next((arg for arg in node.args if arg.op == "call" and arg.value == "percentile"), None):
            return self._percentile(node, share)
        args = self.alike(node, tuple(self.check(arg) for arg in node.args), f"comparison {_SIGNS[node.op]}")
        if not args:
            return node.typed(BAD)
        if args[0].type in ("list", "times") or (args[0].type == "boolean" and node.op not in ("eq", "ne")):
            return self.problem(
                node, f"{args[0].type} cannot be compared by {_SIGNS[node.op]}; {'use contains or count(…)' if args[0].type != 'boolean' else 'use = or !='}"
            )
        left, right = (coefficient(arg) for arg in args)
        if left is None or right is None or abs(left - right) > 1:
            return self.problem(
                node, "now can be added or subtracted here, once: the instant at which the comparison turns must be known; write it as now - x > 3d"
            )
        return node.typed("boolean", *args)

    _eq = _ne = _lt = _le = _gt = _ge = _comparison

    def _percentile(self, node: Node, share: Node) -> Node:
        """``percentile(x) >= 0.9`` is ``x >= threshold``: the least value that at least 0.9 (for > and <=: more than 0.9) of all known values are below."""
        left, right = node.args
        op, literal = (node.op, right) if left is share else (_INVERSE[node.op], left)
        trait = self.check(share.args[0]) if len(share.args) == 1 else None
        literal = self.as_number(literal)
        if trait is not None and trait.type == BAD:
            return trait
        sound = trait is not None and trait.op == "name" and trait.type in ("integer", "number") and literal.op == "literal" and literal.type == "number"
        if not sound or op in ("eq", "ne") or not 0 < literal.value < UNIT:
            return self.problem(node, "percentile is written percentile(trait) >= 0.9 (or >, <, <=) with a trait that is a number and a share between 0 and 1")
        kind = "reaches" if op in ("ge", "lt") else "passes"
        threshold = Node("threshold", trait.type, value=(trait.value, kind, literal.value), at=share.at)
        return node.typed("boolean", trait, threshold) if op in ("ge", "lt") else Node("ge" if op == "gt" else "lt", "boolean", (trait, threshold), at=node.at)

    def _is_null(self, node: Node) -> Node:
        arg = self.settled(self.check(node.args[0]), "text")
        return arg if arg.type == BAD else self.timeless(node.typed("boolean", arg))

    _not_null = _is_null

    def timeless(self, node: Node) -> Node:
        """A node whose direct arguments may not look at now, except as whole truths."""
        if any(arg.looks_at_now and arg.type in ("time", "duration") for arg in node.args):
            return self.problem(node, "now cannot be used here; compare it, such as now - x > 3d")
        return node

    def _in(self, node: Node) -> Node:
        args = self.alike(node, tuple(self.check(arg) for arg in node.args), "in")
        if not args:
            return node.typed(BAD)
        if args[0].type in ("list", "times"):
            return self.problem(node, f"in asks for one value, and this is {args[0].type}; use contains")
        return self.timeless(node.typed("boolean", *args))

    def _in_list(self, node: Node) -> Node:
        item, several = self.check(node.args[0]), self.check(node.args[1])
        if several.type not in ("list", "any", BAD):
            return self.problem(node, f"in needs values in brackets, such as in [1, 2], or a list; found {several.type}")
        return self._membership(node, self.settled(several, "list"), item)

    def _contains(self, node: Node) -> Node:
        whole, part = (self.check(arg) for arg in node.args)
        if whole.type == "list":
            return self._membership(node, whole, part)
        return self._texts(node, whole, part)

    def _starts_with(self, node: Node) -> Node:
        return self._texts(node, *(self.check(arg) for arg in node.args))

    def _membership(self, node: Node, several: Node, item: Node) -> Node:
        item = self.settled(item, "text")
        if BAD in (several.type, item.type):
            return node.typed(BAD)
        if item.type != "text":
            return self.problem(node, f"a list holds texts, and this is {item.type}")
        return Node("has", "boolean", (several, item), at=node.at)

    def _texts(self, node: Node, *args: Node) -> Node:
        args = tuple(self.settled(arg, "text") for arg in args)
        if any(arg.type == BAD for arg in args):
            return node.typed(BAD)
        if wrong := [arg.type for arg in args if arg.type != "text"]:
            return self.problem(node, f"{node.op.replace('_', ' ')} works on text, not on {wrong[0]}")
        return node.typed("boolean", *args)

    def _arithmetic(self, node: Node) -> Node:
        args = tuple(self.settled(self.check(arg), "number") for arg in node.args)
        types = [arg.type for arg in args]
        if BAD in types:
            return node.typed(BAD)
        if timely := _TIMELY.get((node.op, *types)):
            return node.typed(timely, *args)
        if node.op == "mul" and sorted(types) == ["duration", "integer"]:
            return node.typed("duration", *args)
        if wrong := [type for type in types if type not in ("integer", "number")]:
            other = types[1 - types.index(wrong[0])]
            return self.problem(node, f"{_SIGNS[node.op]} does not work on {wrong[0]} and {other}{_mend('number', wrong[0])}")
        if node.op != "div" and types == ["integer", "integer"]:
            return node.typed("integer", *args)
        return node.typed("number", *(self.as_number(arg) for arg in args))

    _add = _sub = _mul = _div = _arithmetic

    def _neg(self, node: Node) -> Node:
        arg = self.settled(self.check(node.args[0]), "number")
        if arg.type not in ("integer", "number", "duration", BAD):
            return self.problem(node, f"- needs a number or a duration, not {arg.type}")
        return node.typed(arg.type, arg)

    def _option(self, node: Node) -> Node:
        return node.typed(BAD, self.check(node.args[0]))


def _mend(one: str, other: str) -> str:
    if {one, other} & {"number", "integer"} and "text" in (one, other):
        return "; number(text) reads a number from a text"
    if {one, other} == {"duration", "integer"} or {one, other} == {"duration", "number"}:
        return "; a duration is written 3d, 12h or 30m"
    return ""
