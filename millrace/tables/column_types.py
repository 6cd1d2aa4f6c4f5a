"""Arrow types that columns of several tables share. catalogue.py and those who make its rows use them."""

import pyarrow as pa

from millrace.traits.algebra import SCALE

TIME = pa.timestamp("us", tz="UTC")
NUMBER = pa.decimal128(38, SCALE)
POSITION = pa.struct([("epoch", pa.int64()), ("partition", pa.int32()), ("offset", pa.int64())])
IDENTIFIER = pa.struct([("node", pa.string()), ("hint", pa.string())])
VIOLATIONS = pa.list_(pa.struct([("field", pa.string()), ("rule", pa.string())]))
