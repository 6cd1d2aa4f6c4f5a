"""Receipts cannot be made or changed without the tenant's key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.store.receipts import Claims, ForgedReceipt, Sealer
from tests.serving.store.by_hand import PATIENT

CLAIMS = Claims("user_id:0123", 7, 3, 9, 1_736_512_200_000_000, "abcd", 12, True, 0)


@PATIENT
@given(st.builds(Claims, st.text(), st.one_of(st.none(), st.integers(1, 10**9)), *[st.integers(0, 2**60)] * 3, st.text(), st.integers(0, 2**60), st.booleans()))
def test_what_was_sealed_can_be_opened(claims: Claims) -> None:
    sealer = Sealer(b"k" * 32)
    assert sealer.open(sealer.seal(claims)) == claims


@PATIENT
@given(position=st.integers(0, 500), letter=st.sampled_from("ABab01-_"))
def test_a_changed_receipt_is_refused(position: int, letter: str) -> None:
    sealer = Sealer(b"k" * 32)
    sealed = sealer.seal(CLAIMS)
    place = position % len(sealed)
    changed = sealed[:place] + letter + sealed[place + 1 :]
    if changed != sealed:
        with pytest.raises(ForgedReceipt):
            sealer.open(changed)


@pytest.mark.parametrize(
    "forged", ["", "x", "é", "a" * 100, Sealer(b"other").seal(CLAIMS), Sealer(b"k" * 32).seal(CLAIMS) + "=", " " + Sealer(b"k" * 32).seal(CLAIMS)]
)
def test_what_another_made_is_refused(forged: str) -> None:
    with pytest.raises(ForgedReceipt):
        Sealer(b"k" * 32).open(forged)
