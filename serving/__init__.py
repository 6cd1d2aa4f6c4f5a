"""Serving layer: collector (HTTP in), store and merge, API (HTTP out). Imports no pyspark."""
