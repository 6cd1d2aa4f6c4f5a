"""The segments of one person beside his profile: for answers of the API, and for their replay from a receipt."""

from collections.abc import Mapping

from serving.segments.judging import Judge
from serving.segments.rules import Rules
from serving.segments.watching import Declared
from serving.store.answers import Pinned
from serving.store.plan import Plan
from serving.store.several import TraitAnswer


class Judges:
    """The judge for whatever a person was pinned with; made anew when the version served or the rules change."""

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self._made: tuple[Plan, Rules, Judge] | None = None

    def of(self, pinned: Pinned) -> Judge:
        plan = pinned.plan
        rules, made = self.declared.rules(plan.view), self._made
        if made is None or made[0] is not plan or made[1] is not rules:
            self._made = made = plan, rules, Judge(plan.view, plan.layout, rules)
        return made[2]

    def segments(self, pinned: Pinned, at: int, answers: Mapping[str, TraitAnswer] | None = None) -> list[str]:
        """Names of the segments the person is in, in order of the name; ``answers``: his traits, where they have been read already."""
        return self.of(pinned).names(pinned, at, answers)

    def rules_of(self, pinned: Pinned) -> str:
        """The hash of the rules they stand on; empty when there are none."""
        rules = self.of(pinned).rules
        return rules.hash if rules.segments else ""
