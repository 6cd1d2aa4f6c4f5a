"""API: answers over HTTP from the store, each with its receipt."""
