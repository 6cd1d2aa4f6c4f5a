"""Batch layer: recomputes states from the log up to a cut, proves and publishes them."""
