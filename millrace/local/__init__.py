"""Running Millrace on one machine: jars, broker, doctor, supervisor."""
