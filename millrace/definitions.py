"""Definitions of a tenant: reads the directory of YAML files into typed models. Every job loads them first; wrong definitions start nothing.

All problems are reported at once, each with file, place, what was found and the nearest allowed key.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from millrace.definition_problems import RULES_KEYS, SEGMENT_KEYS, SOURCE_KEYS, VIEW_KEYS, sentence_of
from millrace.enrichment.paths import families_of
from millrace.enrichment.rules import Enrichment
from millrace.enrichment.settings import read_enrichment
from millrace.errors import ConfigurationError
from millrace.events.pulls import located
from millrace.events.sources import UNDECLARED, Source, Sources
from millrace.identity.rules import IdentityRules
from millrace.identity.spellings import FIRST_NORMALISER
from millrace.segments import Segments, segment_problems, segments_hash
from millrace.tracking_plan.plan import TrackingPlan, plan_hash, read_plan
from millrace.traits.parties import counted, party_problems, terms_of
from millrace.traits.states import Reads, State
from millrace.traits.views import NAME, View, further_problems
from millrace.yaml_files import did_you_mean, read_yaml

_TREE = Path(__file__).resolve().parent.parent
DEFAULT_DIRECTORY = (_TREE.parent if _TREE.suffix == ".zip" else _TREE) / "conf" / "tenants" / "default"
"""In a checkout, or beside the millrace.zip of ``make dist``."""


class Definitions(BaseModel):
    """What a tenant has declared. ``views`` by name; ``person`` is the view whose traits a profile shows. ``identity``: who is one person.
    ``segments``: rules over the traits of a person. ``sources``: where events come from. ``tracking_plan``: what their messages look like.
    ``enrichment``: the rules of values that are computed from theirs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enrichment: Enrichment = Field(default_factory=Enrichment)
    sources: Sources = Field(default_factory=dict)
    views: dict[str, View]
    identity: IdentityRules = Field(default_factory=IdentityRules)
    segments: Segments = Field(default_factory=dict)
    tracking_plan: TrackingPlan = ()

    @field_validator("views")
    @classmethod
    def _under_rules(cls, views: dict[str, View], info: ValidationInfo) -> dict[str, View]:
        """States that read enriched values are named by the rules of these, and traits know which sources they count."""
        rules, sources = info.data.get("enrichment"), info.data.get("sources", {})
        views = {name: view.counting(partial(counted, sources=sources)) for name, view in views.items()}
        return views if rules is None else {name: view.under(rules.digest) for name, view in views.items()}

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change when a declaration, or the name under which a state is kept, changes (comments, order and descriptions do not count)."""
        shown = self._shown()
        for name in ("segments", "sources", "tracking_plan", "enrichment"):  # no state depends on them; names of states tell the rules of enriched values
            shown.pop(name, None)
        del shown["identity"]["linkage"]  # it only proposes: no state and no person depends on it
        if shown["identity"]["normaliser"] == FIRST_NORMALISER:
            del shown["identity"]["normaliser"]  # hashes of then stay what they were
        for view in shown["views"].values():
            for trait in (*view["traits"].values(), *view.get("derived", {}).values()):
                trait.pop("description", None)
        shown |= {"terms": self.terms} if self.terms else {}  # windows end with them, and who has one shows no edge
        kept = {name: {state.name: sorted(hops) for state, hops in states.items()} for name, states in self.states.items()}
        kept |= {f"key of {name}": view.keyed.rules for name, view in self.views.items() if view.keyed.rules}
        return hashlib.sha256(json.dumps([shown, kept], sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def segments_hash(self) -> str:
        """16 hex digits that change when the rule of a segment changes."""
        return segments_hash(self.segments)

    @cached_property
    def plan_hash(self) -> str | None:
        """16 hex digits that change when a record could get another verdict; None without a tracking plan."""
        return plan_hash(self.tracking_plan, self.sources)

    @cached_property
    def terms(self) -> dict[str, int]:
        """Seconds of the term of each source that has one."""
        return terms_of(self.sources)

    def source(self, name: str) -> Source:
        """What is declared about a source."""
        return self.sources.get(name, UNDECLARED)

    def to_json(self) -> str:
        """Text from which ``from_json`` makes equal definitions: kept in each manifest."""
        return json.dumps(self._shown(), ensure_ascii=False)

    @cached_property
    def enriched_families(self) -> tuple[str, ...]:
        """Families of enriched values that some state or key reads."""
        return families_of(path for reader in self.readers for path, _ in reader.reads)

    def _shown(self) -> dict[str, Any]:
        """The rules of identity, and those of enriched values that are asked for, with their defaults: a later version of Millrace may have others."""
        shown = self.model_dump(mode="json", exclude_defaults=True, exclude={"enrichment"}) | {"identity": self.identity.model_dump(mode="json")}
        asked = self.enrichment.model_dump(mode="json", exclude_defaults=True, exclude={"versions"}) | (
            {"versions": self.enrichment.versions} if self.enriched_families else {}
        )
        return shown | ({"enrichment": asked} if asked else {})

    @classmethod
    def from_json(cls, text: str) -> "Definitions":
        found = json.loads(text)
        found.setdefault("identity", {}).setdefault("normaliser", FIRST_NORMALISER)
        return cls.model_validate_json(json.dumps(found))

    @cached_property
    def states(self) -> dict[str, dict[State, frozenset[int]]]:
        """States of each view with the hops they are kept for."""
        return {name: view.states for name, view in self.views.items()}

    @property
    def readers(self) -> list[Reads]:
        """Everything that reads values of events: the states and keys of all views."""
        return [reader for view in self.views.values() for reader in (view.keyed, *view.states)]


def load_definitions(directory: str | Path) -> Definitions:
    """Definitions of the directory; ConfigurationError with every problem found when any is wrong."""
    directory, path = Path(directory), Path(directory) / "views.yml"
    found = read_yaml(path, missing="a definitions directory holds at least views.yml (example: conf/tenants/default/views.yml)")
    problems = list(_problems(path, found))
    rules_path, segments_path, sources_path = (directory / name for name in ("identity.yml", "segments.yml", "sources.yml"))
    rules, segments, sources = map(_optional, (rules_path, segments_path, sources_path))
    problems += _rules_problems(rules_path, rules)
    problems += _segments_problems(segments_path, segments, found if not problems else None)
    problems += _sources_problems(sources_path, sources)
    plan, plan_problems = read_plan(directory / "tracking_plan", sentence_of)
    problems += plan_problems
    enrichment, enrichment_problems = read_enrichment(directory / "enrichment.yml", sentence_of)
    problems += enrichment_problems
    if problems:
        raise ConfigurationError(problems)
    definitions = Definitions(enrichment=enrichment, views=found, identity=rules, segments=segments, sources=sources, tracking_plan=plan)
    problems = [f"{directory / 'enrichment.yml'}: {problem}" for problem in enrichment.problems_with(definitions.enriched_families)]
    problems += [f"{path}: {problem}" for problem in party_problems(definitions.views, definitions.sources)]
    if problems:
        raise ConfigurationError(problems)
    return definitions


def _optional(path: Path) -> Any:
    """What a file holds that need not be there; an empty one says nothing."""
    found = read_yaml(path, missing="it was there a moment ago") if path.exists() else None
    return {} if found is None else found


def _sources_problems(path: Path, found: Any) -> Iterator[str]:
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        yield f"{path}: a mapping of names to sources is needed, for example `shop: {{mode: quarantine}}`; words such as yes or null need quotes in YAML"
        return
    try:
        TypeAdapter(Sources).validate_python(found)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            within = problem["loc"][1] if len(problem["loc"]) > 2 else ""
            found, keys = located(problem) if problem["loc"][1:2] == ("pull",) else (problem, SOURCE_KEYS["webhook" if within == "webhook" else ""])
            yield f"{path}: {sentence_of(found, keys)}"


def _segments_problems(path: Path, found: Any, views: Any) -> Iterator[str]:
    """Rules are checked when the views they speak of are sound."""
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        yield f'{path}: a mapping of names to rules is needed, for example `loyal: "orders_count >= 10"`; words such as yes or null need quotes in YAML'
        return
    try:
        segments = TypeAdapter(Segments).validate_python(found)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            yield f"{path}: {sentence_of(problem, SEGMENT_KEYS)}"
        return
    if views is not None:
        yield from (f"{path}: {problem}" for problem in segment_problems(segments, TypeAdapter(View).validate_python(views["person"])))


def _rules_problems(path: Path, found: Any) -> Iterator[str]:
    if not isinstance(found, dict):
        yield f"{path}: found {type(found).__name__}; a mapping is needed, for example `namespaces: {{user_id: {{unique: true}}, …}}`"
        return
    if "normaliser" in found:
        yield f"{path}: normaliser: is no key of the file, it comes with the version of Millrace; leave it out"
    try:
        IdentityRules.model_validate(found)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            yield f"{path}: {sentence_of(problem, RULES_KEYS[str(problem['loc'][0])] if len(problem['loc']) > 1 else RULES_KEYS[''])}"


def _problems(path: Path, found: Any) -> Iterator[str]:
    if not isinstance(found, dict) or not found:
        yield f"{path}: found {type(found).__name__}; a mapping of views is needed, for example `person: {{key: node, traits: {{…}}}}`"
        return
    if "person" not in found:
        yield f"{path}: no view `person`{did_you_mean('person', map(str, found))}; it is the one whose traits a profile shows"
    for name in found:
        if not isinstance(name, str) or not NAME.match(name):
            yield f"{path}: view name {name!r} is not allowed: lower-case letters, digits and _, starting with a letter"
    try:
        TypeAdapter(dict[str, View]).validate_python(found)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        for problem in problems:
            yield f"{path}: {sentence_of(problem, VIEW_KEYS)}"
        for name in {problem["loc"][0] for problem in problems if len(problem["loc"]) > 1}:
            yield from (f"{path}: {name}: {problem}" for problem in further_problems(found[name]))
