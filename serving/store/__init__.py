"""Store: tails the Delta tables without a JVM and merges batch states with increments at read."""
