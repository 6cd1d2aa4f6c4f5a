"""Dialects: what other clients than Segment's say, as messages of the Segment spec. One module a dialect, one table of their paths in routes.py."""
