"""Millrace: what the batch, speed and serving layers agree on. Imports none of them."""

__version__ = "0.1.0"
