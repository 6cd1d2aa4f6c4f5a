"""Linkage with a partner who must not see clear values, nor we his: both encode under a secret they share, one matches the encodings. ADR 0014."""
