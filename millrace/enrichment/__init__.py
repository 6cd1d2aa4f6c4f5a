"""Values standardised and enriched, one function for both layers: paths under ``enriched.`` that are computed from a message's own values (docs/enrichment.md, ADR 0026)."""
