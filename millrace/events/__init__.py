"""Messages as they are sent and the standard events they become: sources, reading, standardising, repairs."""
