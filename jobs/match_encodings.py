"""Matches two parties' encodings: ``python -m jobs.match_encodings ours.parquet theirs.parquet --out matches.parquet``. Sees no clear value, needs no secret."""

import argparse
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from batch.partner.matching import SIMILAR, match
from jobs import job
from millrace.errors import ConfigurationError


@job()
def main(argv: list[str] | None = None) -> None:
    """0 written, 2 files that are no encodings or were made under different agreements."""
    parser = argparse.ArgumentParser(prog="python -m jobs.match_encodings", description=__doc__)
    parser.add_argument("left", type=Path)
    parser.add_argument("right", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="pairs of record numbers, each party's own")
    parser.add_argument("--threshold", type=float, default=SIMILAR, help="least similarity of two filters (default %(default)s)")
    options = parser.parse_args(argv)
    matches = match(_read(options.left), _read(options.right), threshold=options.threshold)
    pq.write_table(matches, options.out)
    print(f"{len(matches)} pairs")


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigurationError(f"{path} cannot be read as Parquet ({type(error).__name__}); name what encode_records wrote") from None


if __name__ == "__main__":
    sys.exit(main())
