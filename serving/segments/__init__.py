"""Who is in which segment, kept up to date by itself: followed.py's loop is the writer, cohorts.py the reader in the API."""
