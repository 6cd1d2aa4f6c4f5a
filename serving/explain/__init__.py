"""Explain: why identifiers are or are not one person, from the tables alone. The API and two jobs ask."""
