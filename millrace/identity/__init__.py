"""Which identifiers are one person: nodes, edges, rules, decisions, resolution."""
