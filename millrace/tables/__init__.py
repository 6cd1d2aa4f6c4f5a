"""The tables: their schemas, how they are read and appended, the ledger and the manifest."""
