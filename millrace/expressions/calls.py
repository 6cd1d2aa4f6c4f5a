"""Types of function calls: arguments against functions.py. checking.py calls it; ``checker`` is its Checker."""

from typing import TYPE_CHECKING

from millrace.expressions.functions import BUCKETS, CALENDAR, FUNCTIONS, MOST_STEPS, WAITING, Function
from millrace.expressions.instants import coefficient
from millrace.expressions.tree import Node
from millrace.traits.algebra import SCALE
from millrace.yaml_files import did_you_mean

if TYPE_CHECKING:
    from millrace.expressions.checking import Checker

BAD = "bad"


def call(checker: "Checker", node: Node) -> Node:
    """The typed node of a call, its op the function's name."""
    name = node.value
    if name == "segment":
        return _segment(checker, node)
    if name == "percentile":
        return checker.problem(node, "percentile stands in a comparison: percentile(spend_90d) >= 0.9")
    function = FUNCTIONS.get(name)
    if function is None:
        for arg in node.args:
            checker.check(arg)
        allowed = [*FUNCTIONS, "segment", "percentile"]
        return checker.problem(node, f"unknown function {name!r}{did_you_mean(name, allowed)}; allowed are {', '.join(allowed)}")
    args = _arguments(checker, node, function)
    return node.typed(BAD) if args is None else _typed(checker, node, function, args)


def _segment(checker: "Checker", node: Node) -> Node:
    if len(node.args) != 1 or node.args[0].op != "literal" or node.args[0].type != "text":
        return checker.problem(node, 'segment takes the name of a segment in quotes: segment("name")')
    return checker.segment(node, node.args[0].value)


def _arguments(checker: "Checker", node: Node, function: Function) -> tuple[Node, ...] | None:
    """The arguments in their allowed types; ``within: 3d`` counts as the last one."""
    options = [arg for arg in node.args if arg.op == "option"]
    if any(option.value != "within" or node.value not in WAITING for option in options) or len(options) > 1:
        checker.problem(options[0], f"{node.value} knows no {options[0].value}:; it is written {function.says}")
        return None
    found = tuple(checker.check(arg.args[0] if arg.op == "option" else arg) for arg in node.args)
    most = len(function.takes) + (0 if not function.rest else len(found) if function.gives == "same" or "times" in function.rest else 1)
    if not len(function.takes) <= len(found) <= most:
        checker.problem(
            node, f"{node.value} takes {len(function.takes)} {'or more ' if function.rest else ''}arguments, found {len(found)}; it is written {function.says}"
        )
        return None
    args = []
    for place, arg in enumerate(found):
        allowed = function.takes[place] if place < len(function.takes) else function.rest
        arg = checker.settled(arg, allowed[0]) if len(allowed) == 1 or function.gives != "same" else arg
        if arg.type not in (*allowed, BAD, "any"):
            arg = checker.problem(arg, f"{node.value} needs {' or '.join(allowed)} here, not {arg.type}; it is written {function.says}")
        args.append(arg)
    return None if any(arg.type == BAD for arg in args) else tuple(args)


def _typed(checker: "Checker", node: Node, function: Function, args: tuple[Node, ...]) -> Node:
    name = node.value
    if name == "funnel":
        return _funnel(checker, node, args)
    if name in ("round", "bucket", "followed_by", "not_followed_by"):
        return _with_constant(checker, node, args)
    if function.gives == "same":
        args = checker.alike(node, tuple(checker.settled(arg, "number") for arg in args) if name == "abs" else args, name)
        return checker.timeless(Node(name, args[0].type, args, at=node.at)) if args else node.typed(BAD)
    if (name in CALENDAR or name == "days") and coefficient(args[0]) not in (-1, 0, 1):
        return checker.problem(node, "now can be added or subtracted here, once, such as days(now - x)")
    return Node(name, function.gives, args, at=node.at)


def _funnel(checker: "Checker", node: Node, args: tuple[Node, ...]) -> Node:
    """Lists of times, then perhaps a length of time for all the steps together."""
    steps, last = (args[:-1], args[-1]) if args[-1].type == "duration" else (args, None)
    if any(step.type == "duration" for step in steps) or not 2 <= len(steps) <= MOST_STEPS:
        return checker.problem(node, f"funnel takes 2 to {MOST_STEPS} lists of times and then within; it is written {FUNCTIONS['funnel'].says}")
    if last is not None and (last.op != "literal" or last.value <= 0):
        return checker.problem(last, f"funnel needs a length of time written out; it is written {FUNCTIONS['funnel'].says}")
    return Node("funnel", "integer", steps, value=None if last is None else last.value, at=node.at)


def _with_constant(checker: "Checker", node: Node, args: tuple[Node, ...]) -> Node:
    """Functions whose last argument is a number or duration written out; bucket's first too."""
    name = node.value
    last = args[-1] if len(args) > len(FUNCTIONS[name].takes) else None
    if last is not None and last.op != "literal":
        return checker.problem(last, f"{name} needs this written out; it is written {FUNCTIONS[name].says}")
    value = None if last is None else last.value
    if name == "round":
        if not 0 <= (value or 0) <= SCALE:
            return checker.problem(node, f"round takes 0 to {SCALE} digits, found {value}")
        return Node("round", "number", (checker.as_number(args[0]),), value=value or 0, at=node.at)
    if name == "bucket":
        if args[0].op != "literal" or not args[0].value:
            return checker.problem(args[0], f"bucket needs a salt in quotes; it is written {FUNCTIONS[name].says}")
        if value is not None and not 2 <= value <= 1_000_000:
            return checker.problem(node, f"bucket takes 2 to 1000000 shares, found {value}")
        return Node("bucket", "integer", (args[1],), value=(args[0].value, value or BUCKETS), at=node.at)
    if (value is None and name == "not_followed_by") or (value is not None and value <= 0):
        return checker.problem(node, f"{name} needs a length of time to wait; it is written {FUNCTIONS[name].says}")
    return Node(name, "boolean", args[:2], value=value, at=node.at)
