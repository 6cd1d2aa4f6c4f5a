"""What the validation of definitions found, in sentences for people: which keys are allowed where, and how a problem is told. definitions.py asks."""

from collections.abc import Mapping
from typing import Any

from millrace.events.sources import Breaker, Source
from millrace.events.webhooks import Webhook
from millrace.identity.linkage_rules import LinkageRules
from millrace.identity.rules import IdentityRules, NamespaceRules
from millrace.segments import Segment
from millrace.traits.traits import Trait
from millrace.traits.views import View
from millrace.yaml_files import did_you_mean

NEEDED = {
    "dict_type": "a mapping is needed, such as `orders: {op: count}`",
    "model_type": "a mapping is needed, such as `{op: count, event: Order Completed}`",
    "string_type": "text is needed",
    "too_short": "at least one is needed",
}
"""Sentences for people instead of those of the validation library."""
RULES_KEYS = {
    "": {1: tuple(name for name in IdentityRules.model_fields if name != "normaliser")},
    "namespaces": {3: tuple(NamespaceRules.model_fields)},
    "linkage": {2: tuple(LinkageRules.model_fields)},
}
VALUE_KEYS = ("at", "text", "as")
SOURCE_KEYS = {
    "": {2: tuple(Source.model_fields), 3: tuple(Breaker.model_fields)},
    "webhook": {3: tuple(Webhook.model_fields), 4: VALUE_KEYS, 5: VALUE_KEYS},
}
SEGMENT_KEYS = {2: tuple(Segment.model_fields)}
VIEW_KEYS = {2: tuple(View.model_fields), 4: tuple(Trait.model_fields)}


def sentence_of(problem: Mapping[str, Any], keys: Mapping[int, tuple[str, ...]]) -> str:
    """``keys``: what is allowed at each depth."""
    place = [str(part) for part in problem["loc"]]
    if keys is VIEW_KEYS and place[1:2] == ["derived"]:
        place[1] = "traits"  # where it was written
    where, given = ".".join(place), problem.get("input")
    if problem["type"] == "extra_forbidden":
        allowed = keys[len(place)]
        return f"{where}: unknown key{did_you_mean(place[-1], allowed)}; allowed are {', '.join(allowed)}"
    if problem["type"] == "missing":
        return f"{where}: missing"
    if problem["type"] == "literal_error":
        options = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{where}: found {given!r}{did_you_mean(str(given), options)}; allowed are {', '.join(options)}"
    if problem["type"] == "value_error":
        return f"{where or 'rules'}: {problem['msg'].removeprefix('Value error, ')}"
    if given is None and problem["type"] == "string_type":
        return f"{where}: found nothing; a word such as null needs quotes in YAML"
    needed = "a view is needed, such as `{key: node, traits: {…}}`" if len(place) == 1 and keys is VIEW_KEYS else NEEDED.get(problem["type"], problem["msg"])
    return f"{where}: found {given!r}; {needed}"
