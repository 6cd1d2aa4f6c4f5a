"""Fixtures of the store's tests; the API's tests take the same ones."""

from tests.serving.store.stores import builds_in_process, start_store, tenant

__all__ = ["builds_in_process", "start_store", "tenant"]
