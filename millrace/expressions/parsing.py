"""From words to an untyped tree: or, and, not, comparisons, + -, * /, sign, functions, in falling order of what binds last. checking.py types it."""

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from millrace.expressions.tokens import Token
from millrace.expressions.tree import Node, Problem

COMPARISONS = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_DEEPEST = 40
"""Brackets, functions and signs within each other: more is nobody's rule, and would exhaust the stack."""


class SyntaxProblem(Exception):
    """Where the text stops being an expression."""

    def __init__(self, at: int, message: str) -> None:
        self.problem = Problem(at, message)
        super().__init__(message)


class Parser:
    """Reads the tokens once from left to right."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens, self._place, self._depth = tokens, 0, 0

    def parse(self) -> Node:
        """The whole text as one tree; SyntaxProblem at the first word that does not fit."""
        tree = self._or()
        if self._next.kind != "end":
            self._fail("and, or, a comparison or the end")
        return tree

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _fail(self, wanted: str) -> NoReturn:
        raise SyntaxProblem(self._next.at, f"found {self._next.text}; {wanted} is needed here")

    def _take(self, *words: str) -> Token | None:
        """The next token when it is one of these signs or keywords."""
        token = self._next
        if token.kind not in ("sign", "keyword") or token.text not in words:
            return None
        self._place += 1
        return token

    def _need(self, word: str) -> Token:
        return self._take(word) or self._fail(word)

    def _or(self) -> Node:
        return self._chain("or", self._and)

    def _and(self) -> Node:
        return self._chain("and", self._not)

    def _chain(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Node(word, args=tuple(parts), at=parts[0].at)

    def _not(self) -> Node:
        if token := self._take("not"):
            self._deeper(token)
            inner = self._not()
            self._depth -= 1
            return Node("not", args=(inner,), at=token.at)
        return self._comparison()

    def _deeper(self, token: Token) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise SyntaxProblem(
                token.at, f"more than {_DEEPEST} brackets, functions or signs within each other; name parts of it as segments or traits of their own"
            )

    def _comparison(self) -> Node:
        left = self._sum()
        if token := self._take(*COMPARISONS):
            node = Node(COMPARISONS[token.text], args=(left, self._sum()), at=token.at)
            if again := self._take(*COMPARISONS):
                raise SyntaxProblem(again.at, "comparisons cannot be chained; write `a between x and y`, or two comparisons with and")
            return node
        if token := self._take("is"):
            negated = self._take("not")
            self._need("null")
            return Node("not_null" if negated else "is_null", args=(left,), at=token.at)
        negated = self._take("not")
        node = self._predicate(left)
        if node is None:
            if negated:
                self._fail("in, between, contains or starts with")
            return left
        return Node("not", args=(node,), at=negated.at) if negated else node

    def _predicate(self, left: Node) -> Node | None:
        if token := self._take("between"):
            low = self._sum()
            self._need("and")
            high = self._sum()
            return Node("and", args=(Node("ge", args=(left, low), at=token.at), Node("le", args=(left, high), at=token.at)), at=token.at)
        if token := self._take("in"):
            return Node("in", args=(left, *self._items()), at=token.at) if self._take("[") else Node("in_list", args=(left, self._sum()), at=token.at)
        if token := self._take("contains"):
            return Node("contains", args=(left, self._sum()), at=token.at)
        if token := self._take("starts"):
            self._need("with")
            return Node("starts_with", args=(left, self._sum()), at=token.at)
        return None

    def _items(self) -> list[Node]:
        items = [self._sum()]
        while self._take(","):
            items.append(self._sum())
        self._need("]")
        return items

    def _sum(self) -> Node:
        node = self._product()
        while token := self._take("+", "-"):
            node = Node("add" if token.text == "+" else "sub", args=(node, self._product()), at=token.at)
        return node

    def _product(self) -> Node:
        node = self._signed()
        while token := self._take("*", "/"):
            node = Node("mul" if token.text == "*" else "div", args=(node, self._signed()), at=token.at)
        return node

    def _signed(self) -> Node:
        if token := self._take("-"):
            self._deeper(token)
            inner = self._signed()
            self._depth -= 1
            if inner.op == "literal" and inner.type in ("integer", "number", "duration"):
                return replace(inner, value=-inner.value, at=token.at)
            return Node("neg", args=(inner,), at=token.at)
        return self._primary()

    def _primary(self) -> Node:
        token = self._next
        if token.kind in ("integer", "number", "text", "time"):
            self._place += 1
            return Node("literal", token.kind, value=token.value, at=token.at)
        if token.kind == "duration":
            return self._duration()
        if token.kind == "name":
            self._place += 1
            return self._call(token) if self._take("(") else Node("name", value=token.value, at=token.at)
        if self._take("true", "false"):
            return Node("literal", "boolean", value=token.text == "true", at=token.at)
        if self._take("now"):
            return Node("now", "time", at=token.at)
        if self._take("("):
            self._deeper(token)
            inner = self._or()
            self._depth -= 1
            self._need(")")
            return inner
        self._fail("a name, a number, a text in quotes, a duration, a date, a function or (")

    def _duration(self) -> Node:
        """``3d 12h`` is one duration."""
        at, length = self._next.at, 0
        while self._next.kind == "duration":
            length += self._next.value
            self._place += 1
        return Node("literal", "duration", value=length, at=at)

    def _call(self, token: Token) -> Node:
        self._deeper(token)
        args: list[Node] = []
        while not self._take(")"):
            if args:
                self._need(",")
            word, sign = self._next, self._tokens[min(self._place + 1, len(self._tokens) - 1)]
            if word.kind == "name" and sign.text == ":":
                self._place += 2
                args.append(Node("option", args=(self._or(),), value=word.value, at=word.at))
            else:
                args.append(self._or())
        self._depth -= 1
        return Node("call", args=tuple(args), value=token.value, at=token.at)
