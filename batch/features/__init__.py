"""Features of persons at instants of the past, exactly as they were known then: ``get_historical_features`` for notebooks, training and jobs."""

from batch.features.historical import get_historical_features

__all__ = ["get_historical_features"]
