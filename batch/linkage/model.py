"""A trained model: learned from unlabelled records, frozen as JSON under a version until somebody trains again. Holds probabilities, no values of anybody."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from splink import Linker
from splink.internals.exceptions import EMTrainingException

from batch.linkage.blocking import add_keys
from batch.linkage.comparing import compare, first_settings, open_linker
from batch.linkage.mixture import Mixture, fit, start

log = logging.getLogger(__name__)
STRANGERS = 1_000_000
"""Random pairs from which the levels of strangers are learned."""
SESSION_PAIRS = 1_000_000
FAINT = 1e-4
"""Pairs less probable than this teach nothing about matches."""
LARGEST_BLOCK = 100
_SESSIONS = (("national_id",), ("email",), ("given_name", "surname"), ("birth_date",), ("phone",), ("given_name", "street"), ("surname", "postcode"))


@dataclass(frozen=True)
class Model:
    """``settings``: of Splink, trained; ``mixture``: how the kinds of pairs are told apart; ``version`` names the content."""

    kinds: dict[str, str]
    settings: dict[str, Any]
    mixture: Mixture

    @property
    def labels(self) -> dict[str, list[str]]:
        """Names of the levels of each attribute, by number; the last one is that of −1, missing."""
        return {
            one["output_column_name"]: [level["label_for_charts"] for level in one["comparison_levels"]][::-1] for one in self.settings["comparisons"]
        }

    def settings_for(self, records: int) -> dict[str, Any]:
        """Settings of Splink among so many records: matches grow with the records, pairs with their square."""
        return self.settings | {"probability_two_random_records_match": min(2 * self.mixture.same_rate / max(records - 1, 1), 0.5)}

    @property
    def version(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def to_json(self) -> str:
        mixture = self.mixture
        learned = {
            "same": [list(m) for m in mixture.same], "strangers": [list(u) for u in mixture.strangers], "alike": list(mixture.alike),
            "same_rate": mixture.same_rate, "related_rate": mixture.related_rate,
        }  # fmt: skip
        return json.dumps({"kinds": self.kinds, "settings": self.settings, "mixture": learned}, default=float)

    @classmethod
    def from_json(cls, text: str) -> "Model":
        found = json.loads(text)
        learned = found["mixture"]
        arrays = {name: tuple(np.array(one) for one in learned[name]) for name in ("same", "strangers")}
        rates = {name: learned[name] for name in ("same_rate", "related_rate")}
        return cls(found["kinds"], found["settings"], Mixture(tuple(found["kinds"].values()), alike=np.array(learned["alike"]), **arrays, **rates))


def train(rows: pa.Table, kinds: Mapping[str, str]) -> Model:
    """A model learned from comparable rows (attributes.py) without labels; the same rows give the same model."""
    keyed, keys = add_keys(rows, kinds, largest=LARGEST_BLOCK)
    linker = open_linker(keyed, first_settings(kinds, keys))
    linker.training.estimate_u_using_random_sampling(max_pairs=STRANGERS, seed=1)
    for columns in _sessions(kinds):
        _learn(linker, columns)
    settings = linker.misc.save_model_to_json()
    pairs = compare(linker, list(kinds), at_least=FAINT)
    mixture = fit(start(kinds, settings), pairs, len(rows))
    log.info("linkage trained records=%d pairs=%d same_rate=%.4f related_rate=%.4f", len(rows), len(pairs), mixture.same_rate, mixture.related_rate)
    return Model(dict(kinds), _with(settings, mixture), mixture)


def _sessions(kinds: Mapping[str, str]) -> Iterator[list[str]]:
    """Attributes to train within equal values of: the first few that are there, so that every other attribute is learned at least once."""
    first: dict[str, str] = {}
    for name, kind in kinds.items():
        first.setdefault(kind, name)
    possible = [[first[kind] for kind in session] for session in _SESSIONS if all(kind in first for kind in session)]
    yield from possible[:4]


def _learn(linker: Linker, columns: list[str]) -> None:
    before = linker._settings_obj.core_model_settings.copy()
    rule = " AND ".join(f'l."{name}" = r."{name}"' for name in columns)
    try:
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, estimate_without_term_frequencies=True, max_pairs=SESSION_PAIRS, record_sample_proportion=1.0
        )
    except (EMTrainingException, ValueError) as error:  # nobody shares such values, or so few that Splink refuses a probability of 0: another session teaches the rest
        linker._settings_obj.core_model_settings = before  # a session that fails leaves its attributes out of the model (Splink 5.0.0)
        log.info("training session left out columns=%s error=%s", ",".join(columns), type(error).__name__)


def _with(settings: dict[str, Any], mixture: Mixture) -> dict[str, Any]:
    """The settings with what the mixture has learned about the same person."""
    for one, m in zip(settings["comparisons"], mixture.same, strict=True):
        levels = [level for level in one["comparison_levels"] if not level.get("is_null_level")][::-1]
        for level, probability in zip(levels, m, strict=True):
            level["m_probability"] = float(probability)
    return settings
