"""What a tenant expects of its events, and the verdict on each message."""
