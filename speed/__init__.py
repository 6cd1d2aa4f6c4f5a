"""Speed layer: one streaming query that turns each epoch of the topic into log rows and increments."""
