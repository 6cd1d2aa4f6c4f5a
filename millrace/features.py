"""Features: traits as models take them, named ``view__trait`` in training sets and online answers alike. batch/features and serving/store/features.py read them.

In: names as people write them, ``person__spend_30d`` or ``person__city:30d`` with a time to live. Out: which traits of which views are needed, and nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from millrace.errors import ConfigurationError
from millrace.expressions import names_of
from millrace.times import MICROS
from millrace.traits.views import View
from millrace.traits.windows import seconds_of
from millrace.yaml_files import did_you_mean

BETWEEN = "__"


@dataclass(frozen=True)
class Feature:
    """A trait of a view. ``ttl``: how old the last value may be at the instant, such as ``30d``; an older one is null. Absent: any age."""

    view: str
    trait: str
    ttl: str | None = None

    @property
    def name(self) -> str:
        return f"{self.view}{BETWEEN}{self.trait}"

    @property
    def ttl_micros(self) -> int | None:
        return None if self.ttl is None else seconds_of(self.ttl) * MICROS


@dataclass(frozen=True)
class ViewFeatures:
    """The features of one view, and the view with the traits that these need and no others."""

    name: str
    view: View
    features: tuple[Feature, ...]


def chosen_features(features: Iterable[str], views: Mapping[str, View]) -> tuple[Feature, ...]:
    """The features of these names, in their order; ConfigurationError with everything that is wrong with them."""
    found, problems = [], []
    other, views = {name for name, view in views.items() if view.keyed.parts}, {name: view for name, view in views.items() if not view.keyed.parts}
    for text in features:
        name, _, ttl = text.partition(":")
        fitting = [Feature(view, name.removeprefix(view + BETWEEN), ttl or None) for view in views if _has(views[view], view, name)]
        if len(fitting) == 1:
            found += fitting
            problems += _ttl_problems(fitting[0], views[fitting[0].view])
        else:
            problems.append(_not_of_persons(name) if name.partition(BETWEEN)[0] in other else _unknown(name, views) if not fitting else f"feature {name!r}: views {' and '.join(one.view for one in fitting)} both have it; rename one trait")
    names = [one.name for one in found]
    problems += [f"feature {name!r} is asked for twice; drop one" for name in dict.fromkeys(names) if names.count(name) > 1]
    if not found and not problems:
        problems.append("no feature is asked for; name at least one, such as person__orders_count")
    if problems:
        raise ConfigurationError(problems)
    return tuple(found)


def by_view(features: Iterable[Feature], views: Mapping[str, View]) -> tuple[ViewFeatures, ...]:
    """The features of each view with what they need."""
    wanted: dict[str, list[Feature]] = {}
    for feature in features:
        wanted.setdefault(feature.view, []).append(feature)
    return tuple(ViewFeatures(name, narrowed(views[name], [one.trait for one in of_view]), tuple(of_view)) for name, of_view in wanted.items())


def narrowed(view: View, names: Iterable[str]) -> View:
    """The view with these traits and those they are computed from. It has at least one trait with states, because every view has."""
    trees = {one.name: one.tree for one in view.compiled}
    needed, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += names_of(trees[name]) if name in trees else ()
    traits = {name: trait for name, trait in view.traits.items() if name in needed} or dict(list(view.traits.items())[:1])
    return view.only(traits, {name: one for name, one in view.derived.items() if name in needed})


def feature_names(views: Mapping[str, View]) -> list[str]:
    """Every feature there is."""
    return [f"{name}{BETWEEN}{trait}" for name, view in views.items() if not view.keyed.parts for trait in (*view.traits, *view.derived)]


def _has(view: View, view_name: str, name: str) -> bool:
    trait = name.removeprefix(view_name + BETWEEN)
    return name.startswith(view_name + BETWEEN) and (trait in view.traits or trait in view.derived)


def _not_of_persons(name: str) -> str:
    view = name.partition(BETWEEN)[0]
    return f"feature {name!r}: view {view} is not of persons, and features are; read serving/views/{view} for its rows"


def _unknown(name: str, views: Mapping[str, View]) -> str:
    allowed = feature_names(views)
    return f"feature {name!r} does not exist{did_you_mean(name, allowed)}; a feature is view__trait of views.yml, such as {allowed[0]}"


def _ttl_problems(feature: Feature, view: View) -> Iterator[str]:
    if feature.ttl is None:
        return
    try:
        seconds_of(feature.ttl)
    except ValueError as error:
        yield f"feature {feature.name}: ttl {error}"
    trait = view.traits.get(feature.trait)
    if trait is None or trait.op != "last" or trait.prefer:
        yield f"feature {feature.name}: a ttl says how old a last value may be, it is for op last without prefer; what is counted or added up has a window instead"
