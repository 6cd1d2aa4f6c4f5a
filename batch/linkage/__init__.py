"""The probabilistic stage: persons who share no identifier but look alike. Batch only, off unless a tenant turns it on; ADR 0013."""
