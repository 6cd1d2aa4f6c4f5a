"""Encodes records for a partner: ``python -m jobs.encode_records people.parquet --agreement A.yml --secret FILE --out encoded.parquet``.

``encoded.parquet`` goes to the partner and holds no clear value; ``encoded.ids.parquet`` says whose record is whose and stays at home.
"""

import argparse
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batch.linkage.attributes import ID
from batch.partner.agreement import read_agreement, read_secret
from batch.partner.encoding import encode
from jobs import job
from millrace.errors import ConfigurationError


@job()
def main(argv: list[str] | None = None) -> None:
    """0 written, 2 wrong agreement, secret or file."""
    parser = argparse.ArgumentParser(prog="python -m jobs.encode_records", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, help=f"Parquet with a column {ID} and the attributes")
    parser.add_argument("--agreement", type=Path, required=True, help="what both partners wrote: attributes and tokens")
    parser.add_argument("--secret", type=Path, required=True, help="file with the secret that both partners share")
    parser.add_argument("--out", type=Path, required=True, help="what goes to the partner")
    options = parser.parse_args(argv)
    agreement, secret = read_agreement(options.agreement), read_secret(options.secret)
    leaves, stays = encode(_read(options.records, [ID, *agreement.attributes]), agreement, secret)
    pq.write_table(leaves, options.out)
    pq.write_table(stays, options.out.with_suffix(".ids.parquet"))
    print(f"{len(leaves)} records encoded; {options.out.with_suffix('.ids.parquet')} stays here")


def _read(path: Path, columns: list[str]) -> pa.Table:
    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigurationError(f"{path} cannot be read as Parquet ({type(error).__name__}); name a Parquet file") from None
    if missing := [name for name in columns if name not in found.column_names]:
        raise ConfigurationError(f"{path} lacks {', '.join(missing)}; it has {', '.join(found.column_names)}")
    return found.select(columns)


if __name__ == "__main__":
    sys.exit(main())
