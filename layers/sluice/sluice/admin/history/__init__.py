"""The history and state of a channel: its commits, their differences, its rejects, its status."""
