"""Who is in which segment, kept up to date by itself: following.py is the writer, cohorts.py the reader in the API."""
