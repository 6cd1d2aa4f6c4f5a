"""Jobs: one thin entry for each thing a person or a scheduler starts."""
