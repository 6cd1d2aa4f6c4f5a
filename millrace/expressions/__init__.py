"""The expression language: one line of text → typed tree → Python closure (python_form), Spark Column (columns/expressions), DuckDB SQL (duckdb_form).

Segments, derived traits and filters of traits are written in it. Names, values and their types come from whoever calls ``parse``.
"""

import itertools
from collections.abc import Callable, Collection, Mapping

from millrace.expressions.checking import BAD, Checker
from millrace.expressions.parsing import Parser, SyntaxProblem
from millrace.expressions.python_form import PythonForm, Truth, Value, Values
from millrace.expressions.tokens import Token, tokens_of
from millrace.expressions.tree import ExpressionError, Node, Problem, names_of, segments_of, thresholds_of

__all__ = ["ExpressionError", "Node", "Problem", "PythonForm", "Truth", "Value", "Values", "names_of", "parse", "segments_of", "thresholds_of"]
LONGEST = 20_000
DEEPEST = 120
Names = Mapping[str, str] | Callable[[str], str | None]


def parse(text: str, names: Names, *, segments: Collection[str] = (), wanted: Collection[str] = ()) -> Node:
    """The typed tree of an expression; ExpressionError with every problem and its place.

    ``names``: type of each name (one of ``tree.TYPES``, or ``any`` for a value that takes the type of what it is compared with), as a mapping or a function that
    gives None for an unknown one. ``segments``: names of segments it may use. ``wanted``: types the whole may have; empty for any.
    """
    problems: list[Problem] = []
    if len(text) > LONGEST:
        raise ExpressionError(
            [Problem(0, f"the text has {len(text)} characters; at most {LONGEST} are allowed; name parts of it as segments or traits of their own")]
        )
    type_of, known = (names.get, names) if isinstance(names, Mapping) else (names, ())
    checker = Checker(type_of, known, segments, problems)
    tokens = tokens_of(text, problems)
    is_misread = bool(problems)
    try:
        tree = Parser(tokens).parse()
    except SyntaxProblem as error:
        _check_names(tokens, checker)
        raise ExpressionError(problems if is_misread else [*problems, error.problem]) from None
    if (depth := _depth(tree)) > DEEPEST:
        raise ExpressionError(
            [Problem(0, f"{depth} operations stand within each other; at most {DEEPEST} are allowed; name parts of it as segments or traits of their own")]
        )
    tree = checker.check(tree)
    tree = checker.settled(tree, next(iter(wanted), "text"))
    if wanted and tree.type not in (*wanted, BAD):
        problems.append(Problem(0, f"the whole is {tree.type}; {' or '.join(wanted)} is needed here"))
    if problems:
        raise ExpressionError(problems)
    return tree


def _check_names(tokens: list[Token], checker: Checker) -> None:
    """Unknown names of a text that is no expression: they are problems too."""
    for token, after in itertools.pairwise(tokens):
        if token.kind == "name" and after.text not in ("(", ":"):
            checker.check(Node("name", value=token.value, at=token.at))


def _depth(tree: Node) -> int:
    deepest, rest = 0, [(tree, 1)]
    while rest:
        node, depth = rest.pop()
        deepest = max(deepest, depth)
        rest += [(arg, depth + 1) for arg in node.args]
    return deepest
