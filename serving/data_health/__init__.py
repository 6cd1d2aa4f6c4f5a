"""Data health: what each source sends, measured in windows beside what its own history lets expect. following.py is the writer, answering.py the reader in the API."""
