"""Questions about a channel: its commits, their differences, its rejects, its status."""
