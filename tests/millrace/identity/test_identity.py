"""Identifiers in Python: what is one person's spelling of one identifier, and what is not."""

import pytest

from millrace.identity.nodes import by_priority, node_of, normalise, owner_node, person_id
from tests.laws.histories import SECRET


@pytest.mark.parametrize(
    ("namespace", "value", "normal"),
    [
        ("email", " Ann@Example.COM\t", "ann@example.com"),
        ("email", "ÄNN@example.com", "änn@example.com"),
        ("email", "a\u0308nn@example.com", "änn@example.com"),
        ("email", "\uff21\uff4e\uff4e\uff20example\uff0ecom", "ann@example.com"),
        ("email", "an\u200bn@exam\u00adple.com\ufeff", "ann@example.com"),
        ("email", "STRASSE@x.de", "strasse@x.de"),
        ("email", "Straße@x.de", "strasse@x.de"),
        ("email", "ann@Straße.de", "ann@xn--strae-oqa.de"),
        ("email", "ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("email", "ann@xn--BCHER-kva.example", "ann@xn--bcher-kva.example"),
        ("email", "ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ("email", "ann@" + "ü" * 300, "ann@" + "ü" * 300),
        ("email", "İ@x", "i\u0307@x"),
        ("email", "ı@x", "ı@x"),
        ("email", "ΟΔΟΣ@x", "οδοσ@x"),
        ("phone", "+49 (30) 12-3", "+4930123"),
        ("phone", "0049/30", "004930"),
        ("phone", " +٤٩", "+49"),
        ("phone", "\uff0b\uff14\uff19\u20113\u00a00", "+4930"),
        ("phone", "\u202a+49 30\u202c", "+4930"),
        ("phone", "++1", "+1"),
        ("phone", "1+1", "11"),
        ("phone", "+", ""),
        ("phone", "call me", ""),
        ("user_id", "\n U1 \f\v\r", "U1"),
        ("user_id", "\u00a0u\u00a0", "u"),
        ("user_id", "\u200bU\u0308\u2028", "Ü"),
        ("user_id", "\u200b\ufeff", ""),
        ("user_id", "Straße", "Straße"),
        ("anonymous_id", " \t ", ""),
        ("user_id", "a  b", "a  b"),
    ],
)
def test_an_identifier_is_normalised(namespace, value, normal):
    assert normalise(namespace, value) == normal
    assert (node_of(namespace, value, SECRET) is None) == (normal == "")


def test_the_same_text_in_two_namespaces_and_under_two_keys_is_four_nodes():
    assert len({node_of(namespace, "1", key) for namespace in ("user_id", "anonymous_id") for key in (SECRET, b"other")}) == 4


def test_a_token_is_the_keyed_hash_and_holds_no_clear_text():
    assert node_of("email", "Ann@example.com", b"\0" * 32) == "email:5939d538486a19542c13c315394be7ee"  # openssl dgst -mac HMAC


def owner(**given: str) -> str | None:
    values = {"user_id": None, "anonymous_id": None, "email": None, "phone": None} | given
    return owner_node(type="track", **values, secret=SECRET)


def test_the_owner_is_the_first_namespace_that_is_not_empty():
    assert owner(user_id="u", email="e", anonymous_id="a") == node_of("user_id", "u", SECRET)
    assert owner(user_id="  ", phone="1", anonymous_id="a") == node_of("phone", "1", SECRET)
    assert owner(phone="none", anonymous_id="a") == node_of("anonymous_id", "a", SECRET)
    assert owner() is None


def test_nodes_are_listed_by_priority_and_then_by_token():
    assert by_priority(["new:1", "anonymous_id:1", "email:2", "user_id:9", "email:1"]) == ["user_id:9", "email:1", "email:2", "anonymous_id:1", "new:1"]


def test_a_person_id_is_the_hash_of_the_anchor():
    assert person_id("user_id:abc") == "p_ecf4572bdace5d54a0dd6f29"
