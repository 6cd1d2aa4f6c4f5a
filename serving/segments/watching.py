"""The segments of the definitions as they are now, compiled for whatever version is served. The follower and the API ask; nobody restarts."""

import hashlib
import time
from collections.abc import Callable, Collection
from pathlib import Path

from millrace.definitions import Definitions
from millrace.newest_definitions import NewestDefinitions
from millrace.segments import PERSON_NAME, CompiledSegment, compile_segments, trait_types
from millrace.traits.views import View
from serving.segments.rules import Rules, rules_of
from serving.store.base_building import PERSON


class Declared:
    """Definitions that stay as they are. Any thread may ask."""

    def __init__(self, definitions: Definitions) -> None:
        self._newest = definitions
        self._compiled: tuple[Definitions, View, Rules] | None = None

    def definitions(self) -> Definitions:
        """The newest sound ones."""
        return self._newest

    def rules(self, served: View) -> Rules:
        """Their segments over the traits of the version served."""
        newest = self.definitions()
        known = self._compiled
        if known is None or known[0] is not newest or known[1] is not served:
            self._compiled = known = newest, served, rules_for(newest, served)
        return known[2]


class Watch(Declared):
    """Those of a directory, as they are now."""

    def __init__(self, directory: Path, definitions: Definitions | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._directory = NewestDefinitions(directory, definitions, clock=clock)
        super().__init__(self._directory())

    def definitions(self) -> Definitions:
        return self._directory()

    @property
    def problem(self) -> str | None:
        """What is wrong with the files, if anything."""
        return self._directory.problem


def rules_for(newest: Definitions, served: View) -> Rules:
    """Segments of ``newest`` whose traits ``served`` has with the same types; the others wait for a version that has them. A percentile is settled with each
    publish, in serving/segment_members: segments that stand on one wait here."""
    types, wanted = trait_types(served), trait_types(newest.views[PERSON])
    same = {name for name, type in types.items() if wanted.get(name) == type} | {PERSON_NAME}
    declared = compile_segments(newest)
    usable = {one.name: newest.segments[one.name] for one in declared if same.issuperset(one.traits) and not one.thresholds}
    compiled = compile_segments(newest.model_copy(update={"segments": usable, "views": {**newest.views, PERSON: served}}))
    prints: dict[str, str] = {}
    for one in declared:
        inner = [prints[name] for name in one.nested]
        prints[one.name] = hashlib.sha256("\0".join([one.segment.rule, *inner]).encode()).hexdigest()[:16]
    ready = rules_of(compiled, prints, same)
    waiting = {one.name: _lacking(one, same) for one in declared if one.name not in usable}
    return Rules(ready.segments, ready.prints, waiting)


def _lacking(segment: CompiledSegment, same: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted({*segment.traits} - {*same} | {f"percentile({trait})" for trait, _, _ in segment.thresholds}))
