from pathlib import Path

import pytest

from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.errors import ConfigurationError
from millrace.identity.linkage_rules import LinkageRules


def load(folder: Path, linkage: str) -> LinkageRules:
    (folder / "views.yml").write_text((DEFAULT_DIRECTORY / "views.yml").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "identity.yml").write_text(f"linkage: {linkage}", encoding="utf-8")
    return load_definitions(folder).identity.linkage


def test_linkage_is_off_by_default() -> None:
    assert not load_definitions(DEFAULT_DIRECTORY).identity.linkage.enabled


def test_attributes_are_columns_in_the_order_of_their_paths(tmp_path: Path) -> None:
    rules = load(tmp_path, "{enabled: true, attributes: {traits.lastName: surname, traits.address.city: town}}")

    assert list(rules.kinds.items()) == [("address_city", "town"), ("lastname", "surname")]


@pytest.mark.parametrize(
    ("linkage", "said"),
    [
        ("{attributes: {traits.a: surnam}}", "unknown kind 'surnam' (did you mean 'surname'?)"),
        ("{attributes: {properties.a: surname}}", "is no path of a trait"),
        ("{attributes: {traits.a.b: surname, traits.a_b: surname}}", "differ only by the dots"),
        ("{accept: 0.6, review: 0.7}", "review is the smaller one"),
        ("{enabled: true, attributes: {traits.a: surname}}", "fewer than two attributes"),
        ("{enable: true}", "unknown key (did you mean 'enabled'?)"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, linkage: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, linkage)

    assert said in str(refused.value)


def test_linkage_does_not_change_what_states_are_made_under(tmp_path: Path) -> None:
    load(tmp_path, "{enabled: true, attributes: {traits.a: surname, traits.b: email}}")
    declared = load_definitions(tmp_path)
    (tmp_path / "identity.yml").unlink()

    assert declared.hash == load_definitions(tmp_path).hash
    assert type(declared).from_json(declared.to_json()) == declared
