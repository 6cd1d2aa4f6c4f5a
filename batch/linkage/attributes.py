"""Attributes of records made comparable: one text column an attribute, normalised by its kind. Scoring and training start here.

In: a table with a column ``id`` and one column an attribute, as people wrote them. Out: the same rows; what says nothing is null.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

ID = "id"
_NAME_KINDS = ("given_name", "surname", "town", "street", "other")
_NOTHING = ("", "nan", "none", "null", "n/a", "na", "unknown", "undefined")
_DATES = (r"^(\d{4})[-/. ]?(\d{2})[-/. ]?(\d{2})(?:[t ].*)?$", r"\1\2\3")


def comparable(records: pa.Table, kinds: Mapping[str, str]) -> pa.Table:
    """``id`` as text and each attribute of ``kinds`` (name → kind), normalised; other columns are left out."""
    columns = {ID: records[ID].cast(pa.string())}
    for name, kind in kinds.items():
        text = records[name].combine_chunks()
        columns[name] = _normal(text if pa.types.is_string(text.type) else text.cast(pa.string()), kind)
    return pa.table(columns)


def _normal(text: pa.Array, kind: str) -> pa.Array:
    """Lower case without accents, letters and digits with single spaces between; digits alone for phones and numbers."""
    plain = pc.utf8_lower(pc.utf8_normalize(text, "NFKD"))
    plain = pc.replace_substring_regex(plain, r"\p{Mn}", "")
    if kind == "email":
        plain = pc.if_else(pc.match_substring(plain, "@"), pc.replace_substring_regex(plain, r"\s+", ""), pa.scalar(None, pa.string()))
    elif kind == "phone":
        plain = pc.replace_substring_regex(plain, r"\D", "")
    elif kind == "birth_date":
        plain = pc.replace_substring_regex(pc.replace_substring_regex(pc.utf8_trim_whitespace(plain), *_DATES), r"[^0-9]", "")
    elif kind in ("postcode", "national_id"):
        plain = pc.replace_substring_regex(plain, r"[^\p{L}\p{N}]", "")
    else:
        plain = pc.utf8_trim_whitespace(pc.replace_substring_regex(pc.replace_substring_regex(plain, r"['’`]", ""), r"[^\p{L}\p{N}]+", " "))
    return pc.if_else(pc.is_in(plain, value_set=pa.array(_NOTHING)), pa.scalar(None, pa.string()), plain)
