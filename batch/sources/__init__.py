"""What is pulled from elsewhere: connectors, rows as declared, messages or versions of entities, and where each pull stands (ADR 0025)."""
